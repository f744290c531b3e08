REPLACE INTO t (u, x) VALUES ({int:1..3000}, 'X{int:1..3000}');

UPDATE t SET u = u + 10000 WHERE u = {int:1..3000};

UPDATE t SET u = u - 10000 WHERE u = {int:10001..13000};

DELETE FROM t WHERE id = {int:1..4000};
