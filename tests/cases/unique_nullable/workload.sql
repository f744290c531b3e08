UPDATE t SET u = NULL WHERE id = {int:1..3000};

UPDATE t SET u = {int:1..3000} WHERE id = {int:1..3000};

DELETE FROM t WHERE u = {int:1..3000};

INSERT INTO t (id, u, v) VALUES ({int:1..3500}, {pick:NULL|1|2|3}, 1);
