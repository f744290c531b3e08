UPDATE t SET a = {int:1..999} WHERE id = {int:1..2500};

DELETE FROM t WHERE id > {int:2400..3100};

INSERT INTO t (a, b) VALUES (1, 'x');

BEGIN;
INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z');
ROLLBACK;
