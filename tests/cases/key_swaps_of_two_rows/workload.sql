BEGIN;
SET @x = {int:1..3000}, @y = {int:1..3000};
UPDATE t SET id = -1000000 - @x WHERE id = @x;
UPDATE t SET id = @x WHERE id = @y AND @x <> @y;
UPDATE t SET id = @y WHERE id = -1000000 - @x;
COMMIT;

BEGIN;
SET @x = {int:1..1500}, @y = {int:1501..3000};
UPDATE t SET id = -1000000 - @x WHERE id = @x;
UPDATE t SET id = @x WHERE id = @y;
UPDATE t SET id = @y WHERE id = -1000000 - @x;
ROLLBACK;
