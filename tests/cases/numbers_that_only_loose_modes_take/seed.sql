INSERT INTO t (e, k)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
SELECT IF(i % 5, 1 + i % 2, 'no such'), i FROM n;
