CONNECTION = 'mysql://u@h/d/t'
