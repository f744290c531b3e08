BEGIN;
SET @x = {int:1..3000}, @y = {int:1..3000};
SET @ux = (SELECT u FROM t WHERE id = @x FOR UPDATE), @uy = (SELECT u FROM t WHERE id = @y FOR UPDATE);
UPDATE t SET u = -@x WHERE id = @x;
UPDATE t SET u = @ux WHERE id = @y AND @x <> @y;
UPDATE t SET u = @uy WHERE id = @x;
COMMIT;
