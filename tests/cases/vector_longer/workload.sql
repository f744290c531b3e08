UPDATE t SET v = STRING_TO_VECTOR('[1, {int:1..99}, 0.3, -4]') WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES (STRING_TO_VECTOR('[1, {int:1..99}, 0.3, -4]'), {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
