CREATE TABLE t (
  k INT NOT NULL,
  a INT,
  UNIQUE KEY u ((k + 1))
);
