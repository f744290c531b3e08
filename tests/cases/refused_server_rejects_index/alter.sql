ADD INDEX (nosuch)
