REPLACE INTO t (k, v) VALUES ('{pick:a|A|b|é}{int:1..99}', 1);

DELETE FROM t WHERE k = 'a{int:1..99}';
