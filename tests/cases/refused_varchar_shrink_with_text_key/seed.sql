INSERT INTO t (k, d, v)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
SELECT CONCAT(IF(i % 2, 'Ä', 'a'), i), '2024-01-01', IF(i IN (4, 17, 150, 151), 'longer than ten', 'short') FROM n;
