UPDATE t SET k = UPPER(k) WHERE k = 'key{int:1..1500}';

UPDATE t SET k = LOWER(k) WHERE k = 'key{int:1..1500}';

UPDATE t SET k = CONCAT('kÉy', SUBSTRING(k, 4)) WHERE k = 'key{int:1..1500}';

BEGIN;
UPDATE t SET k = 'KEY{int:1..1500}' WHERE v = {int:1..1500};
ROLLBACK;
