UPDATE t SET v = X'C328{hex:5}' WHERE id = {int:1..3000};

UPDATE t SET v = X'ED{hex:1}' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES (X'C328{hex:5}', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
