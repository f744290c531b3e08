INSERT INTO t (v, k)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
SELECT CONCAT('%s %d -- ', i, CHAR(0 USING utf8mb4), '\'"`\\ ', CHAR(26 USING utf8mb4), ';\r\n', '/*!x*/'), i FROM n;
