UPDATE t SET v = v + 1 WHERE k = {int:1..6000};

DELETE FROM t WHERE k = {int:1..6000};

REPLACE INTO t (k, v) VALUES ({int:1..6000}, 1);
