REPLACE INTO t (b) VALUES (CONCAT(LPAD({int:1..4000}, 6, '0'), ' other'));

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET b = CONCAT(b, '!') WHERE id = {int:1..3000} AND LENGTH(b) < 300;
