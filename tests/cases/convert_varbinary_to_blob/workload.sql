UPDATE t SET v = X'{hex:30}' WHERE id = {int:1..3000};

UPDATE t SET v = X'0000' WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES (X'{hex:30}', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
