UPDATE t SET v = JSON_SET(v, '$.n', {int:0..99999}) WHERE id = {int:1..3000};

UPDATE t SET v = JSON_REMOVE(v, '$.s') WHERE id = {int:1..3000};

UPDATE t SET v = JSON_REPLACE(v, '$.s', REPEAT('x', {int:0..40})) WHERE id = {int:1..3000};

INSERT INTO t (v) VALUES ('{"n": 1.5, "s": "new"}'), (NULL);

DELETE FROM t WHERE id = {int:1..4000};
