UPDATE t SET a = {int:0..100000}, b = 'changed {int:0..999}' WHERE id = {int:1..4000};

INSERT INTO t (a, b, c) VALUES ({int:0..999}, 'new', '2025-02-03 04:05:06'), ({int:0..999}, 'newer', NULL);

DELETE FROM t WHERE id = {int:1..4000};

INSERT INTO t (id, a, b) VALUES ({int:1..4000}, 1, 'again') ON DUPLICATE KEY UPDATE a = a + 1;

UPDATE t SET x = REPEAT('long', {int:1..400}) WHERE id = {int:1..3000};

UPDATE t SET id = id + 100000 WHERE id = {int:1..3000};

BEGIN;
UPDATE t SET a = 1 WHERE id = {int:1..3000};
DELETE FROM t WHERE id = {int:1..3000};
INSERT INTO t (b) VALUES ('in one'), ('transaction');
COMMIT;
