UPDATE t SET v = '-{int:100..800}:01:02' WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = '838:59:59' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ('-{int:100..800}:01:02', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
