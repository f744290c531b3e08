UPDATE t SET v = '表new{int:1..9999}' WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = '' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ('表new{int:1..9999}', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
