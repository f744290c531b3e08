REPLACE INTO t (a) VALUES ({int:1..4000});

UPDATE t SET a = a + 5000 WHERE a = {int:1..3000};

UPDATE t SET a = a - 5000 WHERE a = {int:5001..8000};

DELETE FROM t WHERE id = {int:1..4000};
