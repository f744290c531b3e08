UPDATE t SET v = v + 1 WHERE k = 'k{int:1..3000}';

DELETE FROM t WHERE k = 'k{int:1..3000}';

INSERT IGNORE INTO t (k, n, v) VALUES ('k{int:1..3000}', {pick:NULL|5|7|10000}, 1);
