UPDATE t SET v = v + 1 WHERE v = {int:1..3000};

DELETE FROM t WHERE v = {int:1..3000} LIMIT 1;

INSERT IGNORE INTO t (k, v) VALUES ({int:-99999..99999} / 7, {int:1..3000});

UPDATE t SET k = k + 0.000001 WHERE v = {int:1..3000} LIMIT 1;
