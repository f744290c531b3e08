UPDATE t SET b = 'x{int:1..99}' WHERE id = {int:1..3000};

INSERT INTO t (b) VALUES ('y');

DELETE FROM t WHERE id = {int:1..4000};
