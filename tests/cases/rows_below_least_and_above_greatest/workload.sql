INSERT IGNORE INTO t (id, b) VALUES (-{int:1..100000}, 'low');

INSERT INTO t (b) VALUES ('high');

DELETE FROM t WHERE id < -{int:1..100000};
