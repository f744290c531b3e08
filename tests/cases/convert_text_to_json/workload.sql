UPDATE t SET v = '{"n": {int:1..999}, "b": "x"}' WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = '[]' WHERE id = {int:1..3000};

UPDATE t SET v = '12' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ('{"n": {int:1..999}, "b": "x"}', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
