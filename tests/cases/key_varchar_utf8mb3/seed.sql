INSERT INTO t (k, v)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
SELECT CONCAT(ELT(1 + i % 6, 'a', 'b', 'e', 'o', 'ss', 'z'), i), i FROM n;
