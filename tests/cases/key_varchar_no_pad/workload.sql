UPDATE t SET v = v + 1 WHERE k = 'k{int:0..999} ';

DELETE FROM t WHERE k = 'k{int:0..999}  ';

REPLACE INTO t (k, v) VALUES ('k{int:0..999} ', {int:1..99}), ('K{int:0..999}', 3);
