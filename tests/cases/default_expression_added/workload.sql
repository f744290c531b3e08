UPDATE t SET a = {int:0..9999} WHERE id = {int:1..3000};

INSERT INTO t (a) VALUES ({int:0..999});

DELETE FROM t WHERE id = {int:1..4000};
