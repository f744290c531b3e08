COMMENT = 'it''s; a -- "comment" `x`', MODIFY COLUMN a INT NULL COMMENT 'what, (who)'
