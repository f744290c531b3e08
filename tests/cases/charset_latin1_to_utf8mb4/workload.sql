UPDATE t SET v = 'ñ{int:1..99}ß' WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = '' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ('ñ{int:1..99}ß', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
