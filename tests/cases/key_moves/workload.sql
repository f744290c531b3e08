UPDATE IGNORE t SET id = id + 100000 WHERE id = {int:1..3000};

UPDATE IGNORE t SET id = id - 100000 WHERE id = 100000 + {int:1..3000};

UPDATE IGNORE t SET id = {int:1..3000} WHERE id = {int:1..3000};

UPDATE IGNORE t SET id = -id WHERE id = {int:1..3000};

UPDATE IGNORE t SET id = -id WHERE id = -{int:1..3000};
