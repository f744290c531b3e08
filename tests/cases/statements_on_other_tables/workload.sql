BEGIN;
REPLACE INTO other VALUES ({int:1..99}, 1);
UPDATE t SET a = 4 WHERE id = {int:1..3000};
INSERT INTO t2 (b) VALUES ('t2');
DELETE FROM other WHERE id = {int:1..99};
COMMIT;

TRUNCATE TABLE t2;

ALTER TABLE other COMMENT = 'c{int:1..9}';

UPDATE t SET a = {int:0..100000}, b = 'changed {int:0..999}' WHERE id = {int:1..4000};

INSERT INTO t (a, b, c) VALUES ({int:0..999}, 'new', '2025-02-03 04:05:06'), ({int:0..999}, 'newer', NULL);
