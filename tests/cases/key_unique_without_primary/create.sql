CREATE TABLE t (
  k INT NOT NULL,
  v INT,
  UNIQUE KEY u (k)
);
