# Options, the server and its settings for benches. Sourced by `run` and `cut_over`.
# Out: $root, $server, the BENCH_* variables that adapters use, and the default options.
# Must not know: the tools and the table.
# shellcheck shell=bash

root=$(cd "$here/.." && pwd)
server=$root/e2e/servers/server
own_server=$([ -n "${GHOSTSHIP_TEST_URL:-}" ] || echo yes)
server_options=(--innodb-buffer-pool-size=1G --loose-innodb-redo-log-capacity=1G)
keep='' threads=4 out=$root/target/bench/$(date +%Y%m%d-%H%M%S)

export BENCH_SERVER=${GHOSTSHIP_BENCH_SERVER:-bench} BENCH_DATABASE=bench BENCH_TABLE=sbtest1
# A change of type is a copy for every tool: no server does it in place.
export BENCH_ALTER='MODIFY COLUMN k bigint NOT NULL DEFAULT 0'
pristine=bench_pristine
# Nothing is written beside the sources.
export PYTHONDONTWRITEBYTECODE=1

say() { printf '%s\n' "$*" >&2; }

die() {
    say "bench: $*"
    exit 1
}

need() {
    command -v "$1" >/dev/null || die "$1 is missing; install $2"
}

check_count() {
    [[ $2 =~ ^[1-9][0-9]{0,9}$ ]] || die "$1 needs a number above 0, not '$2'"
}

# Starts the server and writes the files with its credentials to a folder that ends with this process.
open_server() {
    local url
    need sysbench "Debian's sysbench (benches/provide)"
    need python3 "Debian's python3"
    BENCH_WORK=$(mktemp -d)
    export BENCH_WORK BENCH_HOST BENCH_PORT BENCH_USER
    trap close_server EXIT
    url=$("$server" start "$BENCH_SERVER" -- "${server_options[@]}")
    read -r BENCH_HOST BENCH_PORT BENCH_USER < <(python3 "$here/lib/access.py" "$BENCH_WORK" "$BENCH_DATABASE" <<<"$url")
    "$server" client "$BENCH_SERVER" <"$BENCH_WORK/writers.sql"
    mkdir -p "$out"
}

close_server() {
    rm -rf "$BENCH_WORK"
    if [ -n "$keep" ]; then
        say "bench: the server '$BENCH_SERVER' stays; remove it with: e2e/servers/server destroy $BENCH_SERVER"
    else
        "$server" destroy "$BENCH_SERVER"
    fi
}

sql() { "$server" client "$BENCH_SERVER" --batch --skip-column-names --execute="$1"; }

# Words that make mysqld's process id an option of a trial, when there is one to look at.
server_pid_option() {
    [ -z "$own_server" ] || printf -- '--server-pid\0%s\0' "$("$server" pid "$BENCH_SERVER")"
}

print_settings() {
    echo
    echo "| setting | value |"
    echo "|---|---|"
    echo "| machine | $(nproc) CPUs, $(awk '/MemTotal/ {printf "%.1f GiB", $2 / 1048576}' /proc/meminfo), Linux $(uname -r) |"
    echo "| load average at start | $(cut -d' ' -f1-3 /proc/loadavg) |"
    echo "| server | $(sql 'SELECT version()') |"
    sql "SHOW GLOBAL VARIABLES WHERE variable_name IN ('innodb_buffer_pool_size', 'innodb_redo_log_capacity',
        'innodb_log_file_size', 'innodb_flush_log_at_trx_commit', 'innodb_flush_method', 'innodb_io_capacity',
        'innodb_doublewrite', 'sync_binlog', 'log_bin', 'gtid_mode', 'binlog_format', 'binlog_row_image',
        'binlog_order_commits', 'performance_schema', 'max_connections')" |
        awk -F'\t' '{print "| " $1 " | " $2 " |"}'
    echo "| sysbench | $(sysbench --version), $threads threads |"
    echo "| table | $rows rows, $(table_size) |"
    echo "| change | \`$BENCH_ALTER\` |"
    echo
}
