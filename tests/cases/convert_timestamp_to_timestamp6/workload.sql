UPDATE t SET v = '2024-10-27 0{int:0..9}:30:00' WHERE id = {int:1..3000};

UPDATE t SET v = NULL WHERE id = {int:1..3000};

INSERT INTO t (v, k) VALUES ('2024-10-27 0{int:0..9}:30:00', {int:0..999});

DELETE FROM t WHERE id = {int:1..4000};

UPDATE t SET k = k + 1 WHERE id = {int:1..3000};
