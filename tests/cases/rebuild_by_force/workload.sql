UPDATE t SET a = {int:0..100000}, b = 'changed {int:0..999}' WHERE id = {int:1..4000};

INSERT INTO t (a, b, c) VALUES ({int:0..999}, 'new', '2025-02-03 04:05:06'), ({int:0..999}, 'newer', NULL);

DELETE FROM t WHERE id = {int:1..4000};

INSERT INTO t (id, a, b) VALUES ({int:1..4000}, 1, 'again') ON DUPLICATE KEY UPDATE a = a + 1;
