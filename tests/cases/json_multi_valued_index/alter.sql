ADD INDEX tags ((CAST(v->'$.tags' AS UNSIGNED ARRAY)))
