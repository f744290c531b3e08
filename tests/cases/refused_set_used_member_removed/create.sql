CREATE TABLE t (
  id INT NOT NULL,
  e SET('a', 'b', 'c'),
  PRIMARY KEY (id)
);
