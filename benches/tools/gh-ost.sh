# gh-ost, taken from GHOST_BIN or PATH. See lib/tools.sh for what an adapter defines.
# shellcheck shell=bash

tool_binary() { find_binary gh-ost "${GHOST_BIN:-}" "https://github.com/github/gh-ost/releases"; }

tool_version() { "$1" --version; }

tool_command() {
    words "$1" --conf="$BENCH_WORK/client.cnf" --host="$BENCH_HOST" --port="$BENCH_PORT" \
        --database="$BENCH_DATABASE" --table="$BENCH_TABLE" --alter="$BENCH_ALTER" \
        --allow-on-master --chunk-size=10000 --dml-batch-size=1000 --execute --ok-to-drop-table \
        --serve-socket-file="$BENCH_WORK/gh-ost.sock" --initially-drop-socket-file
}
