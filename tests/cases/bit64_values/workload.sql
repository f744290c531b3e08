UPDATE t SET v = b'1011' WHERE id = {int:1..3000};

UPDATE t SET v = 18446744073709551615 WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

UPDATE t SET v = 0 WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES (b'1011', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
