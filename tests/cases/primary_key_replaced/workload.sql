UPDATE t SET v = {int:1..9} WHERE id = {int:1..3000};

DELETE FROM t WHERE k = 3 * {int:1..3000};

INSERT INTO t VALUES ({int:1..4000}, {int:1..12000}, 1);
