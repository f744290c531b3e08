INSERT INTO t (v)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
SELECT JSON_OBJECT('n', i, 's', REPEAT('s', 40), 'd', i / 7, 'f', i * 1.1e-5, 'a', JSON_ARRAY(1, NULL, TRUE, 'é')) FROM n;
