INSERT INTO t (id, b) VALUES (42, 'only');
