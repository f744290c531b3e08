UPDATE t SET k = CONCAT(TRIM(k), REPEAT(' ', {int:0..4})) WHERE k = 'k{int:1..3000}';

DELETE FROM t WHERE k = 'K{int:1..3000}   ';

REPLACE INTO t (k, v) VALUES ('k{int:1..3000} ', {int:1..99});
