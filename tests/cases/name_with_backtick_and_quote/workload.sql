UPDATE `we``ird 'ta;bl.e/%s` SET v = {int:1..999} WHERE id = {int:1..2000};

INSERT INTO `we``ird 'ta;bl.e/%s` (v) VALUES (1);

DELETE FROM `we``ird 'ta;bl.e/%s` WHERE id = {int:1..2500};
