UPDATE t SET v = v + 1 WHERE v = {int:1..3000};

DELETE FROM t WHERE v = {int:1..3000} LIMIT 1;

REPLACE INTO t (d, v) VALUES ('-838:59:59', 1), ('838:59:59', 2), ('-00:00:00.01', {int:1..9}), ('00:00:00', 5);

UPDATE t SET d = ADDTIME(d, '00:00:00.01') WHERE v = {int:1..2900} LIMIT 1;
