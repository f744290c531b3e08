UPDATE t SET v = -0e0 WHERE id = {int:1..3000};

UPDATE t SET v = 2.2250738585072014e-308 WHERE id = {int:1..3000};

UPDATE t SET v = 1.7976931348623157e308 WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = {int:1..99999} / 7 WHERE id = {int:1..3000};

UPDATE t SET v = 4.9e-324 WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES (-0e0, {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
