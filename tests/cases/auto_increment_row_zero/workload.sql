UPDATE t SET a = {int:1..999} WHERE id = 0;

UPDATE t SET a = {int:1..999} WHERE id = {int:1..3000};

INSERT INTO t (a, b) VALUES (1, 'x');

DELETE FROM t WHERE id = 0;

INSERT IGNORE INTO t (id, b) VALUES (0, 'back');
