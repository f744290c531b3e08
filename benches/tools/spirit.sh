# spirit, taken from SPIRIT_BIN or PATH. See lib/tools.sh for what an adapter defines.
# shellcheck shell=bash

tool_binary() { find_binary spirit "${SPIRIT_BIN:-}" "https://github.com/block/spirit"; }

tool_version() { "$1" migrate --version 2>&1 || true; }

tool_command() {
    words "$1" migrate --conf="$BENCH_WORK/client.cnf" --host="$BENCH_HOST:$BENCH_PORT" \
        --database="$BENCH_DATABASE" --statement="ALTER TABLE $BENCH_TABLE $BENCH_ALTER"
}
