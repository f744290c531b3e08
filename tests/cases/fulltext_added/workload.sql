UPDATE t SET b = 'other words {int:1..999}' WHERE id = {int:1..1000};

INSERT INTO t (b) VALUES ('fresh words');

DELETE FROM t WHERE id = {int:1..1500};
