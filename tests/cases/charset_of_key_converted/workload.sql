UPDATE t SET v = v + 1 WHERE k = '{pick:A|b|É|ö|z}{int:1..3000}';

UPDATE t SET k = UPPER(k) WHERE v = {int:1..3000};

DELETE FROM t WHERE k = '{pick:Á|B|é}{int:1..3000}';

REPLACE INTO t (k, v) VALUES ('{pick:Á|B|é}{int:1..3000}', 4);
