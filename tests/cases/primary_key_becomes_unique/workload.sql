UPDATE t SET v = {int:1..9} WHERE id = {int:1..3000};

DELETE FROM t WHERE id = {int:1..3000};

REPLACE INTO t VALUES ({int:1..4000}, 1);
