UPDATE `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn` SET `cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc` = {int:1..999} WHERE id = {int:1..2000};

INSERT INTO `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn` (`cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc`) VALUES (1);

DELETE FROM `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn` WHERE id = {int:1..2500};
