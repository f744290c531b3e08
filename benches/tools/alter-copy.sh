# The server's own ALTER TABLE with ALGORITHM=COPY. See lib/tools.sh for what an adapter defines.
# Its figures of memory and CPU are those of the client; the work shows in the server's CPU seconds.
# shellcheck shell=bash

tool_binary() { find_binary server "$server" "e2e/servers"; }

tool_version() { sql "SELECT version()"; }

tool_command() {
    words "$1" client "$BENCH_SERVER" --database="$BENCH_DATABASE" \
        --execute="ALTER TABLE $BENCH_TABLE $BENCH_ALTER, ALGORITHM=COPY, LOCK=SHARED"
}
