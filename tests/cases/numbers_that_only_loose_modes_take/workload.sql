UPDATE t SET e = 'wrong' WHERE id = {int:1..3000};

UPDATE t SET e = 'a' WHERE id = {int:1..3000};

DELETE FROM t WHERE id = {int:1..4000};

INSERT INTO t (k) VALUES (1);
