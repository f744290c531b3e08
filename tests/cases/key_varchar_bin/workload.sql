UPDATE t SET v = v + 1 WHERE k = '{pick:a|A|é|表|😀}{int:0..600}';

DELETE FROM t WHERE k = '{pick:a|A|é|表|😀}{int:0..600}';

REPLACE INTO t (k, v) VALUES ('{pick:a|A|é|É|表|😀}{int:0..600}', 1);

UPDATE t SET k = '{pick:a|A|é|表|😀}{int:0..600}' WHERE k = '{pick:a|A|é|表|😀}{int:0..600}';
