CREATE TABLE t (
  id INT NOT NULL AUTO_INCREMENT,
  v ENUM('a', 'b', 'long é') NULL,
  k INT NULL,
  PRIMARY KEY (id)
);
