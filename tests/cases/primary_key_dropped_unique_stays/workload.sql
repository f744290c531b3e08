UPDATE t SET v = {int:1..9} WHERE id = {int:1..3000};

DELETE FROM t WHERE k = 'K{int:1..3000}';

SET @i = {int:1..3000};
REPLACE INTO t VALUES (@i, CONCAT('k', @i), 1);
