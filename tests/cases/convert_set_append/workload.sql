UPDATE t SET v = '{pick:a|b|c,a|}' WHERE id = {int:1..3000};

UPDATE t SET v = 'b,c' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ('{pick:a|b|c,a|}', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
