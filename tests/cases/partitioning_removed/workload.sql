UPDATE t SET v = {int:1..999} WHERE id = {int:1..3000};

UPDATE t SET d = {int:0..99} WHERE id = {int:1..3000};

INSERT INTO t (d, v) VALUES ({int:0..99}, 1);

DELETE FROM t WHERE id = {int:1..3500};
