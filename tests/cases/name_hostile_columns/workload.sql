UPDATE t SET `a b` = {int:1..999}, `q'u"o` = 5 WHERE `id``x` = {int:1..3000};

INSERT INTO t (`select`) VALUES (1);

DELETE FROM t WHERE `id``x` = {int:1..3500};
