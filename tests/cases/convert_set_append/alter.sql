MODIFY COLUMN v SET('a', 'b', 'c', 'd') NOT NULL
