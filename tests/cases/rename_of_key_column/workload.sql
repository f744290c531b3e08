UPDATE t SET k = {int:0..9999} WHERE a = {int:1..3000};

INSERT INTO t (a, k) VALUES ({int:1..3000}, {int:0..999});

DELETE FROM t WHERE a = {int:1..3000};
