CREATE TABLE t (
  id INT NOT NULL,
  u INT NULL,
  v INT,
  PRIMARY KEY (id),
  UNIQUE KEY u (u)
);
