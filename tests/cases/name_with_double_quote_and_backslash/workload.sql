UPDATE `qu"ote\ back` SET v = {int:1..999} WHERE id = {int:1..2000};

INSERT INTO `qu"ote\ back` (v) VALUES (1);

DELETE FROM `qu"ote\ back` WHERE id = {int:1..2500};
