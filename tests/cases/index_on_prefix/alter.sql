ADD INDEX q (b(20), a)
