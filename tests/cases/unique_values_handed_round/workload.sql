BEGIN;
DELETE FROM t WHERE u = 'u{int:1..3000}';
INSERT INTO t (u, v) VALUES ('U{int:1..3000}', 1);
COMMIT;

REPLACE INTO t (u, v) VALUES ('u{int:1..3000}', {int:1..9});

INSERT INTO t (u, v) VALUES ('u{int:1..3000}', 1) ON DUPLICATE KEY UPDATE v = v + 1;

UPDATE t SET u = CONCAT('u', id) WHERE id = {int:1..3000};
