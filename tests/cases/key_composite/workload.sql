UPDATE t SET v = v + 1 WHERE a = {int:0..70} AND b = {int:0..49};

REPLACE INTO t (a, b, v) VALUES ({int:0..70}, {int:0..49}, {int:0..9});

DELETE FROM t WHERE a = {int:0..70} AND b > {int:40..49};

UPDATE t SET b = b + 100 WHERE a = {int:0..70} AND b = {int:0..20};
