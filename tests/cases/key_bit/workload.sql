UPDATE t SET v = v + 1 WHERE k = {int:1..3000};

DELETE FROM t WHERE k = {int:1..4095};

REPLACE INTO t (k, v) VALUES ({int:0..4095}, {int:1..9});
