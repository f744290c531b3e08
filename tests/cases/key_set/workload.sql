UPDATE t SET v = v + 1 WHERE n = {int:1..3000};

DELETE FROM t WHERE s = 'a,{pick:b|c|d}' AND n = {int:1..3000};

REPLACE INTO t (s, n, v) VALUES ({int:0..15}, {int:1..3000}, 2);

UPDATE t SET s = s ^ 5 WHERE n = {int:1..3000};
