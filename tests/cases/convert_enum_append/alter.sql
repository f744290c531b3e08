MODIFY COLUMN v ENUM('a', 'b', 'c', 'd', 'é') NULL
