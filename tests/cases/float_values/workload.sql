UPDATE t SET v = -0e0 WHERE id = {int:1..3000};

UPDATE t SET v = 1.17549e-38 WHERE id = {int:1..3000};

UPDATE t SET v = 3.40282e38 WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = {int:1..99999} / 7 WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES (-0e0, {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
