CREATE TABLE t (
  k INT NULL,
  a INT,
  UNIQUE KEY u (k)
);
