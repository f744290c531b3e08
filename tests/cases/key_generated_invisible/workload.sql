UPDATE t SET b = 'x{int:1..9}' WHERE my_row_id = {int:1..3000};

INSERT INTO t (a, b) VALUES ({int:1..3000}, 'new');

DELETE FROM t WHERE my_row_id = {int:1..3000};
