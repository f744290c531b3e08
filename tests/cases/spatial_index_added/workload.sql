UPDATE t SET p = POINT({int:0..179}, {int:0..89}) WHERE id = {int:1..3000};

INSERT INTO t (p) VALUES (POINT(1.5, 2.25));

DELETE FROM t WHERE id = {int:1..4000};
