# pt-online-schema-change, taken from PT_OSC_BIN or PATH. See lib/tools.sh for what an adapter defines.
# shellcheck shell=bash

tool_binary() {
    find_binary pt-online-schema-change "${PT_OSC_BIN:-}" "Debian's percona-toolkit (benches/provide)"
}

tool_version() { "$1" --version; }

tool_command() {
    words "$1" --no-check-replication-filters --no-version-check --recursion-method=none --alter "$BENCH_ALTER" --execute \
        "F=$BENCH_WORK/client.cnf,D=$BENCH_DATABASE,t=$BENCH_TABLE"
}
