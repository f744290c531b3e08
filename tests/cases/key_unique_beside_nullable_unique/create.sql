CREATE TABLE t (
  k VARCHAR(20) NOT NULL,
  n INT NULL,
  v INT,
  UNIQUE KEY first_nullable (n),
  UNIQUE KEY u (k)
);
