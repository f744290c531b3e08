UPDATE t SET v = X'{hex:3}' WHERE id = {int:1..3000};

UPDATE t SET v = X'{hex:8}' WHERE id = {int:1..3000};

UPDATE t SET v = X'' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES (X'{hex:3}', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
