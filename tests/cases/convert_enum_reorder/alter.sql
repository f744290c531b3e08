MODIFY COLUMN v ENUM('c', 'x', 'a', 'b') NULL
