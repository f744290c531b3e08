UPDATE t SET v = '2024-05-06 07:08:{int:10..59}' WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = '9999-12-31 23:59:59' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ('2024-05-06 07:08:{int:10..59}', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
