REPLACE INTO t (id, b) VALUES ({int:1..4000}, 'replaced');

INSERT IGNORE INTO t (id, b) VALUES ({int:1..4000}, 'ignored');

INSERT INTO t (a, b) SELECT a, b FROM t WHERE id BETWEEN {int:1..3000} AND 1000 LIMIT 5;

UPDATE t JOIN (SELECT {int:1..3000} AS x) y ON t.id = y.x SET t.a = 5;

DELETE t FROM t JOIN (SELECT {int:1..3000} AS x) y ON t.id = y.x;

UPDATE t SET a = 3 WHERE id BETWEEN {int:1..3000} AND 3000 ORDER BY id DESC LIMIT 3;

INSERT INTO t (id, b) VALUES ({int:1..3000}, 'u') AS n ON DUPLICATE KEY UPDATE b = n.b, id = t.id + 200000;
