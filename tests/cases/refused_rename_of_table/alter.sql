RENAME TO elsewhere
