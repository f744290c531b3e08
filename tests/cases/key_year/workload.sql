UPDATE t SET v = v + 1 WHERE y = {int:1901..2155} AND n = {int:0..11};

DELETE FROM t WHERE y = {int:1901..2155} AND n = {int:0..11};

REPLACE INTO t (y, n, v) VALUES ({int:1901..2155}, {int:0..11}, {int:1..9}), (0, {int:0..5}, 1);
