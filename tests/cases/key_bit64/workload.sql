UPDATE t SET v = v + 1 WHERE v = {int:1..3000};

DELETE FROM t WHERE v = {int:1..3000} LIMIT 1;

REPLACE INTO t (k, v) VALUES (18446744073709551615, {int:1..9}), (0, 1), ({int:1..1000000}, {int:1..3000});
