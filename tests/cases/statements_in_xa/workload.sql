XA START '{tag}';
UPDATE t SET a = {int:1..99} WHERE id = {int:1..3000};
INSERT INTO t (a, b) VALUES (1, 'xa');
DELETE FROM t WHERE id = {int:1..3000};
XA END '{tag}';
XA PREPARE '{tag}';
XA COMMIT '{tag}';

XA START '{tag}';
UPDATE t SET a = {int:1..99} WHERE id = {int:1..3000};
INSERT INTO t (a, b) VALUES (1, 'xa');
DELETE FROM t WHERE id = {int:1..3000};
XA END '{tag}';
XA PREPARE '{tag}';
XA ROLLBACK '{tag}';

XA START '{tag}';
UPDATE t SET a = {int:1..99} WHERE id = {int:1..3000};
INSERT INTO t (a, b) VALUES (1, 'xa');
DELETE FROM t WHERE id = {int:1..3000};
XA END '{tag}';
XA COMMIT '{tag}' ONE PHASE;

XA START '{tag}';
UPDATE t SET a = {int:1..99} WHERE id = {int:1..3000};
INSERT INTO t (a, b) VALUES (1, 'xa');
DELETE FROM t WHERE id = {int:1..3000};
XA END '{tag}';
XA ROLLBACK '{tag}';

UPDATE t SET a = {int:0..100000}, b = 'changed {int:0..999}' WHERE id = {int:1..4000};
