UPDATE t SET v = v + 1 WHERE k = '{pick:A|b|É|ö|ß|Z}{int:1..3000}';

UPDATE t SET k = '{pick:A|á|Á|a}{int:1..3000}' WHERE k = 'a{int:1..3000}';

UPDATE t SET k = UPPER(k) WHERE k = '{pick:a|b|e|o|z}{int:1..3000}';

UPDATE t SET k = LOWER(k) WHERE k = '{pick:a|b|e|o|z}{int:1..3000}';

DELETE FROM t WHERE k = '{pick:Á|B|é|Ó|SS|z}{int:1..3000}';

REPLACE INTO t (k, v) VALUES ('{pick:Á|B|é|Ó|ss|z}{int:1..3000}', {int:1..99});
