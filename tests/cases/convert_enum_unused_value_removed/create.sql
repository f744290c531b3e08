CREATE TABLE t (
  id INT NOT NULL AUTO_INCREMENT,
  v ENUM('a', 'b', 'unused', 'c') NULL,
  k INT NULL,
  PRIMARY KEY (id)
);
