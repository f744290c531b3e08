INSERT INTO t (v, k)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
SELECT CONCAT('{"n": ', i, ', "s": "é', i, '", "a": [1, 2.50, null, true]}'), i FROM n;
