UNION = (other)
