UPDATE t SET v = v + 1 WHERE k = '{pick:A|Å|ö|y|Z}{int:1..3000}';

UPDATE t SET k = UPPER(k) WHERE k = '{pick:A|Å|ö|ü|Z}{int:1..3000}';

DELETE FROM t WHERE k = '{pick:a|å|Ö|Ü|z}{int:1..3000}';

REPLACE INTO t (k, v) VALUES ('{pick:A|Å|ö|Ü|Z}{int:1..3000}', 7);
