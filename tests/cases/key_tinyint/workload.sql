UPDATE t SET v = v + 1 WHERE id = {int:-128..127};

DELETE FROM t WHERE id = {int:-128..127};

REPLACE INTO t VALUES ({int:-128..127}, {int:0..99});
