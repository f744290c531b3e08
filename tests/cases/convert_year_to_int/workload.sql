UPDATE t SET v = {int:1901..2155} WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = 0 WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ({int:1901..2155}, {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
