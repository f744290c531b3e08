# The verbs of `server`: each checks its arguments, takes the server's lock and puts the pieces together.
# In: the verb's arguments. Out: one line on stdout, or nothing.
# Must not know: how programs are found or how mysqld is called.
# shellcheck shell=bash

verb_help() {
    cat <<'HELP'
server: throw-away MySQL servers for tests, the demo and benches

  provide                  make sure that there is a MySQL server program; say which
  start NAME [--port P] [--tls] [--tls-name DNS]... [-- mysqld options]
                           start NAME (or find it running); prints its URL; --tls-name gives its certificate
                           a further name and implies --tls
  wait NAME [SECONDS]      wait until NAME answers queries
  url NAME | pid NAME      print its URL, its mysqld's process id
  ca NAME                  print the path of the authority's certificate (after start --tls)
  stop NAME                end it in good order; keeps its data
  kill NAME                end it with SIGKILL; keeps its data
  restart NAME             stop it when it runs; start it again: same data, port and options
  destroy NAME             end it and remove all it had
  replica NAME OF [-- mysqld options]
                           start NAME as a GTID replica of OF; prints its URL
  client NAME [ARGS]       run the mysql client against it
  list                     name, state, port and pid of every server

A server comes from the first of: GHOSTSHIP_TEST_URL=mysql://USER:PASSWORD@HOST:PORT (used as it is; start, stop and
destroy do nothing), mysqld on PATH (MySQL 8.0.13 or later), Debian's packages extracted into the cache.

  GHOSTSHIP_CACHE            programs and the empty data directory   (~/.cache/ghostship)
  GHOSTSHIP_SERVERS          one folder per server                   (CACHE/run)
  GHOSTSHIP_SERVER_DEADLINE  seconds that a start or stop may take   (60)
  GHOSTSHIP_DEBIAN_MIRROR    archive to fetch from                   (the one in the apt sources)
HELP
}

verb_provide() {
    provide
    case $origin in
    url) echo "existing server named by GHOSTSHIP_TEST_URL" ;;
    path) echo "MySQL $version from PATH: $(command -v mysqld)" ;;
    debian) echo "MySQL $version from Debian's packages: $cache/mysql" ;;
    esac
}

own_server_only() {
    [ -z "${GHOSTSHIP_TEST_URL:-}" ] ||
        die "$1 needs a server of its own, but GHOSTSHIP_TEST_URL names an existing one; unset it"
}

under_lock() {
    local name=$1
    shift
    mkdir -p "$run"
    locked "$run/.$name.lock" "$@"
}

verb_start() {
    local name=$1 port='' tls='' given=''
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --port) port=${2:-} && check_number --port "$port" && shift ;;
        --tls) tls+=" localhost" ;;
        --tls-name) check_dns_name "${2:-}" && tls+=" $2" && shift ;;
        --) given=yes && shift && break ;;
        *) die "start does not know '$1'; options of mysqld follow after --" ;;
        esac
        shift
    done
    provide
    if [ "$origin" = url ]; then
        echo "$GHOSTSHIP_TEST_URL"
    else
        under_lock "$name" start_locked "$name" "$port" "$tls" "$given" "$@"
    fi
}

start_locked() {
    local name=$1 port=$2 tls=() given=$4 state=$run/$1
    read -ra tls <<<"$3"
    shift 4
    if ! runs "$name"; then
        [ -d "$state/data" ] || create "$name" "$port"
        [ -z "$port" ] || [ "$port" = "$(cat "$state/port")" ] ||
            die "server $name has port $(cat "$state/port"); destroy it first to give it another"
        [ -z "$given" ] || printf '%s\n' "$@" >"$state/options"
        [ ${#tls[@]} -eq 0 ] || make_tls "$state" "${tls[@]}"
        launch "$name"
    fi
    wait_ready "$name" "$deadline"
    [ ! -d "$state/tls" ] || say "server: certificate of the authority: $state/tls/ca.pem"
    cat "$state/url"
}

verb_wait() {
    local name=$1 seconds=${2:-$deadline}
    check_number SECONDS "$seconds"
    provide
    if [ "$origin" = url ]; then
        wait_until "$seconds" client_of_url --execute='DO 0' 2>/dev/null ||
            die "the server of GHOSTSHIP_TEST_URL does not answer"
    else
        must_exist "$name"
        wait_ready "$name" "$seconds"
    fi
}

verb_url() {
    if [ -n "${GHOSTSHIP_TEST_URL:-}" ]; then
        echo "$GHOSTSHIP_TEST_URL"
    else
        must_exist "$1"
        cat "$run/$1/url"
    fi
}

verb_ca() {
    own_server_only ca
    must_exist "$1"
    [ -f "$run/$1/tls/ca.pem" ] || die "server $1 has no authority of its own; start it with --tls"
    echo "$run/$1/tls/ca.pem"
}

verb_pid() {
    own_server_only pid
    must_exist "$1"
    live_pid "$1" || die "server $1 does not run; start it with: server restart $1"
}

verb_stop() {
    [ -z "${GHOSTSHIP_TEST_URL:-}" ] || return 0
    must_exist "$1"
    under_lock "$1" end_process "$1" TERM
}

verb_kill() {
    own_server_only kill
    must_exist "$1"
    under_lock "$1" end_process "$1" KILL
}

verb_restart() {
    own_server_only restart
    must_exist "$1"
    provide
    under_lock "$1" restart_locked "$1"
}

restart_locked() {
    end_process "$1" TERM
    start_locked "$1" '' '' ''
}

verb_destroy() {
    [ -z "${GHOSTSHIP_TEST_URL:-}" ] || return 0
    under_lock "$1" destroy_locked "$1"
}

destroy_locked() {
    local port
    end_process "$1" KILL
    port=$(cat "$run/$1/port" 2>/dev/null) || port=none
    rm -rf "${run:?}/$1"
    rm -f "$cache/ports/$port"
}

verb_list() {
    local state name pid
    for state in "$run"/*/; do
        [ -d "$state/data" ] || continue
        name=$(basename "$state")
        pid=$(live_pid "$name") || pid=''
        printf '%-20s %-8s %-6s %s\n' "$name" "$([ -n "$pid" ] && echo running || echo stopped)" \
            "$(cat "$state/port")" "${pid:--}"
    done
}

verb_client() {
    local name=$1
    shift
    provide
    if [ "$origin" = url ]; then
        client_of_url "$@"
    else
        must_exist "$name"
        "${mysql[@]}" --defaults-file="$run/$name/client.cnf" "$@"
    fi
}

# The password goes to the client by a file descriptor, never by an argument.
client_of_url() {
    [ ${#mysql[@]} -gt 0 ] ||
        die "there is no mysql client: install one, or unset GHOSTSHIP_TEST_URL and run: server provide"
    [[ $GHOSTSHIP_TEST_URL =~ $url_pattern ]]
    local parts=("${BASH_REMATCH[@]}")
    "${mysql[@]}" --defaults-file=<(client_file "${parts[1]}" "$(unescape "${parts[3]}")" "${parts[4]}" \
        "${parts[6]:-3306}") "$@"
}

unescape() { printf '%b' "${1//%/\\x}"; }

verb_replica() {
    local name=$1 of=${2:-}
    own_server_only replica
    [ -n "$of" ] || die "replica needs two names: server replica NAME OF"
    check_name "$of"
    [ "$of" != "$name" ] || die "a server cannot replicate from itself"
    must_exist "$of"
    shift 2
    [ "${1:-}" != -- ] || shift
    verb_start "$name" -- --super-read-only=ON "$@" >/dev/null
    point_at "$name" "$of"
    wait_until "$deadline" replicates "$name" || {
        query "$name" <<<"$replica_errors" >&2
        die "server $name does not replicate from $of (reasons above); see $run/$name/log"
    }
    cat "$run/$name/url"
}

replica_errors='SELECT last_error_message FROM performance_schema.replication_connection_status
WHERE last_error_number > 0 UNION ALL SELECT last_error_message
FROM performance_schema.replication_applier_status_by_worker WHERE last_error_number > 0'

point_at() {
    local password
    password=$(sed -nE 's/^password="(.*)"$/\1/p' "$run/$2/client.cnf")
    query "$1" <<SQL || die "server $1 took no source (replicas need MySQL 8.0.23 or later)"
STOP REPLICA;
CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = $(cat "$run/$2/port"), SOURCE_USER = 'root',
    SOURCE_PASSWORD = '$password', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1,
    SOURCE_RETRY_COUNT = 86400;
START REPLICA;
SQL
}

replicates() {
    [ "$(query "$1" <<<"SELECT c.service_state = 'ON' AND a.service_state = 'ON'
        FROM performance_schema.replication_connection_status c
        JOIN performance_schema.replication_applier_status a USING (channel_name)")" = 1 ]
}
