UPDATE t SET p = ST_SRID(POINT({int:0..179}, {int:0..89}), 4326) WHERE id = {int:1..3000};

UPDATE t SET g = NULL WHERE id = {int:1..3000};

INSERT INTO t (p, g) VALUES (ST_SRID(POINT(1, 2), 4326), ST_GeomFromText('POLYGON((0 0, 1 0, 1 1, 0 0))', 3857));

DELETE FROM t WHERE id = {int:1..4000};
