UPDATE t SET v = {int:1..9} WHERE k = {int:1..9000};

DELETE FROM t WHERE k = 3 * {int:1..3000};

INSERT INTO t VALUES ({int:1..12000}, 1);
