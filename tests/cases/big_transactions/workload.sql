UPDATE t SET a = COALESCE(a, 0) + 1;

BEGIN;
UPDATE t SET a = 0 WHERE id % 2 = 0;
DELETE FROM t WHERE id % 50 = {int:0..49};
INSERT INTO t (a, b) SELECT a, 'copied' FROM t LIMIT 50;
COMMIT;
