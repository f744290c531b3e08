UPDATE t SET k = CONCAT(k, '\'') WHERE v = {int:1..3000} AND LENGTH(k) < 90;

UPDATE t SET v = v + 1 WHERE v = {int:1..3000};

DELETE FROM t WHERE v = {int:1..3000} LIMIT 1;

INSERT IGNORE INTO t (k, v) VALUES (CONCAT(X'5C', '{hex:1}', X'00'), {int:1..9});
