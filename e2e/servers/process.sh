# One server's process and state folder: data, port, options, pid, log, url, client.cnf, tls.
# In: a server's name. Out: running or ended processes and the files of its state folder.
# Must not know: where the programs come from ($mysqld, $mysqld_options and $mysql are given).
# shellcheck shell=bash

as_user=()
[ "$(id -u)" -ne 0 ] || as_user=(--user=root)

must_exist() {
    [ -d "$run/$1/data" ] || die "there is no server '$1' under $run; start it with: server start $1"
}

# Prints the pid of mysqld when it runs. A pid file whose process is gone, or is another program's, is stale.
live_pid() {
    local state=$run/$1 pid
    pid=$(cat "$state/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "--datadir=$state/data" || return 1
    echo "$pid"
}

runs() { live_pid "$1" >/dev/null; }
gone() { ! runs "$1"; }

# A killed process loses its memory (and command line) before its files, locks and ports: only when its first
# thread is a zombie and the only one left (field 20) may another mysqld open the data. A list of its threads
# would not do: it ends early when a thread goes while it is read.
ended() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    [ -z "$stat" ] || grep -qE '\) [ZX]( [-0-9]+){16} [01] ' <<<"$stat"
}

# The former mysqld has ended, or its pid is another program's by now.
departed() { ended "$1" || [ -n "$(tr -d '\0' 2>/dev/null <"/proc/$1/cmdline")" ]; }

# Reserves a port for this state folder: reservations are files under the cache, void once their folder is gone.
reserve_port() {
    local state=$1 wanted=$2 port try
    mkdir -p "$cache/ports"
    if [ -n "$wanted" ]; then
        ! listening "$wanted" || die "port $wanted is in use; choose another one"
        ! reserved "$wanted" || die "port $wanted belongs to the server in $(cat "$cache/ports/$wanted"); choose another one"
        echo "$state" >"$cache/ports/$wanted"
        echo "$wanted"
        return
    fi
    for try in {0..599}; do
        port=$((23300 + (RANDOM + try) % 600))
        if reserved "$port" || listening "$port"; then continue; fi
        echo "$state" >"$cache/ports/$port"
        echo "$port"
        return
    done
    die "no free port found from 23300 to 23899; destroy servers (server list) or give --port"
}

reserved() { [ -e "$cache/ports/$1" ] && [ -d "$(cat "$cache/ports/$1")" ]; }

# Makes the state folder of a new server; the data directory comes last and marks it as complete.
create() {
    local name=$1 wanted=$2 state=$run/$1 from port
    from=$(template)
    port=$(cat "$state/port" 2>/dev/null) && rm -f "$cache/ports/$port"
    rm -rf "$state"
    mkdir -p "$state"
    port=$(locked "$cache/ports.lock" reserve_port "$state" "$wanted")
    echo "$port" >"$state/port"
    : >"$state/options"
    write_access "$state" "$port" "$(cat "$from/password")"
    cp -a --reflink=auto "$from/data" "$state/data.new"
    mv "$state/data.new" "$state/data"
}

write_access() {
    local state=$1 port=$2 password=$3
    (
        umask 077
        echo "mysql://root:$password@127.0.0.1:$port" >"$state/url"
        client_file root "$password" 127.0.0.1 "$port" >"$state/client.cnf"
    )
}

client_file() {
    printf '[client]\nuser=%s\npassword="%s"\nhost=%s\nport=%s\nprotocol=TCP\n' "$@"
    printf 'loose-ssl-mode=DISABLED\nloose-get-server-public-key\n'
}

# A certificate for 127.0.0.1, localhost and the given DNS names under an own authority: those that mysqld makes
# carry no usable name. The file `names` keeps the names, one a line.
make_tls() {
    local tls=$1/tls
    shift
    if [ -d "$tls" ]; then
        bears_names "$tls" "$@" ||
            die "the certificate in $tls has other names; destroy the server first to give it these"
        return
    fi
    command -v openssl >/dev/null || die "--tls needs openssl: install it"
    mkdir -p "$tls.new"
    (
        cd "$tls.new"
        umask 077
        printf '%s\n' localhost "$@" | sort -u >names
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=throw-away authority" \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
            -keyout ca-key.pem -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server-key.pem -out server.csr
        printf '%s\n' "subjectAltName=IP:127.0.0.1$(sed 's/^/,DNS:/' names | tr -d '\n')" \
            basicConstraints=CA:FALSE extendedKeyUsage=serverAuth >extensions
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 \
            -extfile extensions -out server-cert.pem
    ) >"$tls.log" 2>&1 || die "openssl made no certificate; see $tls.log"
    mv "$tls.new" "$tls"
}

bears_names() {
    local name tls=$1
    shift
    for name in "$@"; do
        grep -qxF -- "$name" "$tls/names" || return 1
    done
}

# Starts mysqld in a session of its own, with nothing inherited but its log: it outlives the caller, and no pipe
# or lock of the caller stays open in it.
launch() {
    local name=$1 state=$run/$1 port former options=()
    if former=$(cat "$state/pid" 2>/dev/null); then
        wait_until "$deadline" departed "$former" || die "the former mysqld (pid $former) of server $name does not end"
    fi
    # A killed mysqld leaves its socket's lock, which another process with its pid would make valid again.
    rm -f "$state/pid" "$state/mysql.sock" "$state/mysql.sock.lock"
    mkdir -p "$state/tmp"
    port=$(cat "$state/port")
    wait_until "$deadline" free "$port" ||
        die "port $port of server $name is taken by $(owner "$port"); end that one first"
    mapfile -t options <"$state/options"
    [ ! -d "$state/tls" ] || options=(
        "--ssl-ca=$state/tls/ca.pem" "--ssl-cert=$state/tls/server-cert.pem"
        "--ssl-key=$state/tls/server-key.pem" "${options[@]}"
    )
    setsid bash "$here/detached.sh" "$state/pid" "${mysqld[@]}" --no-defaults "${mysqld_options[@]}" \
        "${as_user[@]}" --datadir="$state/data" --tmpdir="$state/tmp" --port="$port" --server-id="$port" \
        --socket=../mysql.sock --pid-file=mysqld.pid \
        --bind-address=127.0.0.1 --skip-name-resolve --report-host=127.0.0.1 --report-port="$port" \
        --log-bin=binlog --relay-log=relay --loose-binlog-format=ROW --binlog-expire-logs-seconds=86400 \
        --gtid-mode=ON --enforce-gtid-consistency=ON --sync-binlog=1 --innodb-flush-log-at-trx-commit=1 \
        --innodb-buffer-pool-size=256M --loose-innodb-redo-log-capacity=512M --performance-schema=ON \
        --max-connections=300 --local-infile=ON --secure-file-priv= --mysqlx=OFF \
        "${options[@]}" </dev/null >>"$state/log" 2>&1 &
    wait_until 5 test -s "$state/pid" || die "mysqld was not started; see $state/log"
}

free() { ! listening "$1"; }

# The process that listens on a port, as far as it can be told.
owner() {
    local line
    line=$(ss -Hltnp "sport = :$1" 2>/dev/null | head -1)
    echo "${line:-another process}"
}

answers() { query "$1" <<<'SELECT 1' >/dev/null 2>&1; }

query() { "${mysql[@]}" --defaults-file="$run/$1/client.cnf" --batch --skip-column-names; }

ready_or_gone() { gone "$1" || answers "$1"; }

# Waits until the server answers a query over TCP; says why when it ends or the time is over.
wait_ready() {
    local name=$1 seconds=$2 log=$run/$1/log
    wait_until "$seconds" ready_or_gone "$name" ||
        die "server $name did not answer within $seconds s (GHOSTSHIP_SERVER_DEADLINE); see $log"
    runs "$name" || {
        tail -15 "$log" >&2
        die "server $name ended while it started (end of $log above)"
    }
}

end_process() {
    local name=$1 signal=$2 pid
    if pid=$(live_pid "$name"); then
        kill "-$signal" "$pid" 2>/dev/null || true
        wait_until "$deadline" ended "$pid" ||
            die "server $name (pid $pid) did not end within $deadline s; server kill $name ends it by force"
    fi
    rm -f "$run/$name/pid"
}
