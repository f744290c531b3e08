UPDATE t SET v = {int:-2147483648..2147483647} WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ({int:-2147483648..2147483647}, {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
