UPDATE t SET b = 9 - b + 1000 WHERE a = {int:0..300};

UPDATE t SET b = b % 1000 WHERE a = {int:0..300} AND b >= 1000;

DELETE FROM t WHERE id = {int:1..3000};

INSERT INTO t VALUES ({int:1..3000}, {int:0..300}, {int:0..9});
