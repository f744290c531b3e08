UPDATE t SET v = v + 1 WHERE v = {int:1..3000};

DELETE FROM t WHERE v = {int:1..3000} LIMIT 1;

INSERT IGNORE INTO t (id, v) VALUES (X'{hex:5}', {int:1..3000}), (X'{hex:1}00', 1), (X'', 2);

UPDATE t SET id = CONCAT(id, X'00') WHERE v = {int:1..3000} AND LENGTH(id) < 20;
