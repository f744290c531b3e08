CREATE TABLE t (
  e ENUM('z', 'a', 'm', '') NOT NULL,
  n INT NOT NULL,
  v INT,
  PRIMARY KEY (e, n)
);
