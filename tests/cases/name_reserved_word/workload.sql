UPDATE `select` SET v = {int:1..999} WHERE id = {int:1..2000};

INSERT INTO `select` (v) VALUES (1);

DELETE FROM `select` WHERE id = {int:1..2500};
