UPDATE t SET v = v + 1 WHERE id = {int:62500..65535};

DELETE FROM t WHERE id = {int:62500..65535};

REPLACE INTO t (id, v) VALUES ({int:60000..65535}, {int:0..99});
