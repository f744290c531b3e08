UPDATE t SET d = '0000-00-00' WHERE id = {int:1..3000};

UPDATE t SET dt = '2024-02-00 01:02:03' WHERE id = {int:1..3000};

INSERT INTO t (d, dt) VALUES ('0000-00-00', '0000-00-00');

DELETE FROM t WHERE id = {int:1..4000};
