# The table that is migrated: a pristine one in a database of its own, and a fresh copy of it for each trial.
# In: $rows, the BENCH_* variables. Must not know: the tools.
# shellcheck shell=bash

prepare_pristine() {
    local have
    sql "CREATE DATABASE IF NOT EXISTS $pristine"
    have=$(sql "SELECT COUNT(*) FROM $pristine.$BENCH_TABLE" 2>/dev/null) || have=none
    [ "$have" != "$rows" ] || return 0
    say "bench: preparing a table of $rows rows"
    sql "DROP TABLE IF EXISTS $pristine.$BENCH_TABLE"
    sysbench --config-file="$BENCH_WORK/sysbench.cnf" oltp_write_only --mysql-db="$pristine" --tables=1 \
        --table-size="$rows" prepare >"$out/prepare.log" 2>&1 || die "sysbench made no table; see $out/prepare.log"
    sql "ANALYZE TABLE $pristine.$BENCH_TABLE" >/dev/null
}

table_size() {
    sql "SELECT CONCAT(ROUND((data_length + index_length) / 1048576), ' MiB') FROM information_schema.tables
        WHERE table_schema = '$pristine' AND table_name = '$BENCH_TABLE'"
}

# Makes the database anew: whatever a former tool left (tables, triggers, sessions, ledgers) is gone. The index is
# built after the rows, as sysbench does it, so that every copy has the same layout.
restore_table() {
    end_sessions
    sql "SET SESSION sql_log_bin = 0;
        DROP DATABASE IF EXISTS $BENCH_DATABASE;
        CREATE DATABASE $BENCH_DATABASE;
        USE $BENCH_DATABASE;
        CREATE TABLE $BENCH_TABLE LIKE $pristine.$BENCH_TABLE;
        ALTER TABLE $BENCH_TABLE DROP INDEX k_1;
        INSERT INTO $BENCH_TABLE SELECT * FROM $pristine.$BENCH_TABLE;
        ALTER TABLE $BENCH_TABLE ADD INDEX k_1 (k);
        ANALYZE TABLE $BENCH_TABLE" >/dev/null
}

# A killed tool leaves its sessions, and an ALTER goes on without its client.
end_sessions() {
    local id
    for id in $(sql "SELECT id FROM information_schema.processlist WHERE db = '$BENCH_DATABASE'"); do
        sql "KILL $id" 2>/dev/null || true
    done
}

# Lets the server write what the former trial left in memory, up to a minute, and forget its binlogs. On a server
# that is not ours nothing is touched.
settle() {
    local end=$((SECONDS + 60)) former
    [ -n "$own_server" ] || return 0
    former=$(sql "SELECT @@GLOBAL.innodb_max_dirty_pages_pct")
    sql "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW(); SET GLOBAL innodb_max_dirty_pages_pct = 0"
    while [ "$(dirty_pages)" -gt 100 ] && [ "$SECONDS" -lt "$end" ]; do sleep 0.5; done
    sql "SET GLOBAL innodb_max_dirty_pages_pct = $former"
}

dirty_pages() {
    sql "SELECT variable_value FROM performance_schema.global_status
        WHERE variable_name = 'Innodb_buffer_pool_pages_dirty'"
}

# Whether the table has its new type and all its rows: a tool that ends with 0 is not believed.
migrated() {
    [ "$(sql "SELECT data_type FROM information_schema.columns WHERE table_schema = '$BENCH_DATABASE'
        AND table_name = '$BENCH_TABLE' AND column_name = 'k'")" = bigint ] &&
        [ "$(sql "SELECT COUNT(*) FROM $BENCH_DATABASE.$BENCH_TABLE")" = "$rows" ]
}
