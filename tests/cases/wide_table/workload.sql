UPDATE t SET c7 = {int:1..99}, c299 = 1 WHERE id = {int:1..1500};

INSERT INTO t (c0) VALUES (1);

DELETE FROM t WHERE id = {int:1..2000};
