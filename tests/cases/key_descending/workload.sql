UPDATE t SET v = v + 1 WHERE a = {int:0..100} AND b = {int:0..29};

DELETE FROM t WHERE a = {int:0..120} AND b = {int:0..29};

REPLACE INTO t (a, b, v) VALUES ({int:0..120}, {int:0..40}, 1);
