CREATE TABLE t (
  s SET('a', 'b', 'c', 'd') NOT NULL,
  n INT NOT NULL,
  v INT,
  PRIMARY KEY (s, n)
);
