UPDATE t SET a = {int:1..9} WHERE id = 42;
