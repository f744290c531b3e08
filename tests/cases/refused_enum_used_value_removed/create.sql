CREATE TABLE t (
  id INT NOT NULL,
  e ENUM('a', 'b', 'c'),
  PRIMARY KEY (id)
);
