ADD INDEX f ((a + 1)), ADD INDEX g ((LOWER(b)))
