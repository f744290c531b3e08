UPDATE t SET u = id * 10 + {int:0..9} WHERE id = {int:1..3000};

DELETE FROM t WHERE id = {int:1..3000};

SET @i = {int:1..3000};
REPLACE INTO t (id, u) VALUES (@i, @i * 10 + {int:0..9});
