UPDATE t SET k = {int:1..99} WHERE id = {int:1..24};

UPDATE t SET v = REPEAT(X'{hex:8}', 1000) WHERE id = {int:1..24};

UPDATE t SET v = CONCAT(v, X'00') WHERE id = {int:1..24};
