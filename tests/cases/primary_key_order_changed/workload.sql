UPDATE t SET v = v + 1 WHERE a = {int:0..70} AND b = {int:0..49};

DELETE FROM t WHERE a = {int:0..70} AND b = {int:0..49};

REPLACE INTO t VALUES ({int:0..70}, {int:0..49}, 1);
