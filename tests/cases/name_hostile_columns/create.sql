CREATE TABLE t (`id``x` INT NOT NULL AUTO_INCREMENT, `a b` INT, `select` INT, `x.y` INT, `q'u"o` INT, `表` INT, `{int}` INT, PRIMARY KEY (`id``x`), KEY `k``;'` (`select`));
