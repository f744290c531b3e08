UPDATE t SET v = {int:-999999..999999} / 13 WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = 1e-30 * {int:1..99} WHERE id = {int:1..3000};

UPDATE t SET v = -0e0 WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ({int:-999999..999999} / 13, {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
