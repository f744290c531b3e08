UPDATE `~t` SET v = {int:1..999} WHERE id = {int:1..2000};

INSERT INTO `~t` (v) VALUES (1);

DELETE FROM `~t` WHERE id = {int:1..2500};
