UPDATE t SET v = 'u{int:1..999}' WHERE n = 'name {int:0..6}' AND d = DATE_ADD('2020-01-01', INTERVAL {int:0..300} DAY);

DELETE FROM t WHERE n = 'NAME {int:0..6}' AND d = DATE_ADD('2020-01-01', INTERVAL {int:0..300} DAY) LIMIT 1;

INSERT IGNORE INTO t VALUES (DATE_ADD('2020-01-01', INTERVAL {int:0..300} DAY), 'Name {int:0..9}', {int:0..100000}, 'x');
