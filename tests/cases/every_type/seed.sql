INSERT INTO t (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
SELECT i % 256, -i, 18446744073709551615 - i, i / 7, i / 3, i / 11, i % 512, 1901 + i % 200, '2024-02-29', SEC_TO_TIME(-i / 3), '2024-01-01 01:02:03.456', '2024-01-01 01:02:03.456789', 'ch', CONCAT('é', i), X'0100', X'FF00', 'tiny', REPEAT('long', i % 99), X'00', X'C0FFEE', 1 + i % 2, i % 4, JSON_ARRAY(i), POINT(i, i), STRING_TO_VECTOR('[1,2]') FROM n;
