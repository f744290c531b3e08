UPDATE t SET v = v + 1 WHERE v = {int:1..3000};

DELETE FROM t WHERE id = CONCAT(UNHEX(LPAD(HEX({int:1..3000}), 8, '0')), REPEAT(X'00', 12));

INSERT INTO t (id, v) VALUES (X'{hex:16}', {int:1..3000});

INSERT IGNORE INTO t (id, v) VALUES (X'{hex:2}', {int:1..3000});

UPDATE t SET id = CONCAT(X'{hex:8}', REPEAT(X'00', 8)) WHERE v = {int:1..3000} LIMIT 1;
