UPDATE t SET v = v + 1 WHERE n = {int:1..3000};

DELETE FROM t WHERE e = '{pick:z|a|m|}' AND n = {int:1..3000};

REPLACE INTO t (e, n, v) VALUES ('{pick:z|a|m|}', {int:1..3000}, 2);

UPDATE t SET e = '{pick:z|a|m|}' WHERE n = {int:1..3000};
