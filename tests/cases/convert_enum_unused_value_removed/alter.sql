MODIFY COLUMN v ENUM('a', 'b', 'c') NULL
