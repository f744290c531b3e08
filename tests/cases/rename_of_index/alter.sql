RENAME INDEX by_a TO by_a_renamed
