UPDATE t SET k = {int:0..9999} WHERE id = {int:1..3000};

DELETE FROM t WHERE iD = {int:1..3000};

INSERT INTO t (VAL) VALUES (1);
