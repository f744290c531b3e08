DELETE FROM t WHERE k = {int:1..3500};

INSERT INTO t (k) VALUES ({int:1..3500});

UPDATE t SET id = id + 10000 WHERE k = {int:1..3000};
