UPDATE `表~` SET v = {int:1..999} WHERE id = {int:1..2000};

INSERT INTO `表~` (v) VALUES (1);

DELETE FROM `表~` WHERE id = {int:1..2500};
