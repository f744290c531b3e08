INSERT INTO t (`a b`, `select`, `x.y`, `q'u"o`, `表`, `{int}`)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
SELECT i, i, i, i, i, i FROM n;
