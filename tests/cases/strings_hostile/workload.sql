UPDATE t SET v = X'00251A27225C' WHERE id = {int:1..3000};

UPDATE t SET v = '{hex:2}%\\ -- \' \n' WHERE id = {int:1..3000};

UPDATE t SET v = '😀' WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES (X'00251A27225C', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
