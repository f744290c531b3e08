CREATE TABLE t (
  id INT NOT NULL AUTO_INCREMENT,
  a INT,
  b VARCHAR(40),
  PRIMARY KEY (id),
  KEY f ((a * 2)),
  KEY g ((UPPER(b)), id)
);
