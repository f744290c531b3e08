# Finds the tools and runs trials of them.
# An adapter, tools/NAME.sh, defines tool_binary (prints its path or fails), tool_version BINARY and tool_command BINARY
# (passes the command to `words`); the BENCH_* variables say what to change. It must not know: how it is measured.
# shellcheck shell=bash

# find_binary NAME GIVEN ORIGIN: the given path, or NAME from PATH.
find_binary() {
    local path=${2:-$1}
    command -v "$path" || {
        say "skipped: $path is not there; it comes from $3"
        return 1
    }
}

check_tools() {
    local tool
    for tool in "$@"; do
        [ -f "$here/tools/$tool.sh" ] || die "there is no adapter for '$tool' in benches/tools"
    done
}

check_scenarios() {
    local scenario
    for scenario in ${1//,/ }; do
        [[ $scenario =~ ^(idle|loaded|rate:[1-9][0-9]{0,6})$ ]] ||
            die "there is no scenario '$scenario': idle, loaded or rate:N"
    done
}

words() { printf '%s\0' "$@"; }

# Calls a function of an adapter in a subshell, so that adapters do not see each other.
adapter() {
    (
        local tool=$1 verb=$2
        shift 2
        # shellcheck source=/dev/null
        . "$here/tools/$tool.sh"
        "$verb" "$@"
    )
}

# Reads tool names from the arguments; prints those that are found, and says what is skipped.
found_tools() {
    local tool path
    for tool in "$@"; do
        path=$(adapter "$tool" tool_binary) || continue
        say "$tool: $path, $(adapter "$tool" tool_version "$path" 2>&1 | head -1)"
        echo "$tool"
    done
}

# trial TOOL SCENARIO RUN BEFORE AFTER: a fresh table, then one measured migration.
trial() {
    local tool=$1 scenario=$2 run=$3 result command=() load=() pid=()
    result=$out/${scenario/:/-}.$tool.$run.json
    restore_table
    settle
    mapfile -d '' -t command < <(adapter "$tool" tool_command "$(adapter "$tool" tool_binary)")
    mapfile -d '' -t load < <(load_options "$scenario")
    mapfile -d '' -t pid < <(server_pid_option)
    python3 "$here/lib/trial.py" --tool "$tool" --scenario "$scenario" --run "$run" --result "$result" \
        --cap "$cap" --before "$4" --after "$5" "${pid[@]}" "${load[@]}" -- "${command[@]}"
    migrated || not_migrated "$tool" "$result"
}

# A tool that reported success over an unchanged or incomplete table has failed. Each transaction of the writers
# holds the number of rows.
not_migrated() {
    [ "$1" != none ] || return 0
    ! grep -q '"outcome": "finished"' "$2" || say "bench: $1 ended with 0, but the table is not what it should be"
    sed -i 's/"outcome": "finished"/"outcome": "wrong"/' "$2"
}

# The writers' command as options of a trial; nothing when the scenario has none.
load_options() {
    local rate=0 word
    case $1 in
    idle) return ;;
    rate:*) rate=${1#rate:} ;;
    esac
    for word in sysbench --config-file="$BENCH_WORK/sysbench.cnf" "$here/lib/writers.lua" --tables=1 \
        --table-size="$rows" --threads="$threads" --rate="$rate" --time=0 --report-interval=1 --percentile=95 \
        --mysql-ignore-errors=all; do
        printf -- '--load=%s\0' "$word"
    done
}
