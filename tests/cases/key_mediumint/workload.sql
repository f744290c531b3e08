UPDATE t SET v = v + 1 WHERE id = {int:-1600..1400} * 5;

DELETE FROM t WHERE id = {int:-8000..7000};

REPLACE INTO t (id, v) VALUES ({int:-9000..9000}, {int:0..99});

UPDATE t SET v = v + 1 WHERE id IN (-8388608, 8388607);
