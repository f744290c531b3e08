UPDATE t SET c3 = {int:1..999}, c10 = '-12:00:00.5', c12 = NULL, c14 = 'x', c20 = X'{hex:20}', c23 = '{"a": 1}' WHERE id = {int:1..2000};

DELETE FROM t WHERE id = {int:1..2500};

INSERT INTO t (c1, c4, c24) VALUES (1, -{int:1..9999} / 17, POINT(0, 0));
