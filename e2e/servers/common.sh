# Messages, names, locks and waiting. Sourced by `server` and by the scripts of e2e/cluster.
# Must not know: MySQL, Kubernetes.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

check_name() {
    [[ $1 =~ ^[a-z0-9][a-z0-9_-]{0,40}$ ]] ||
        die "'$1' is no server name: use lower-case letters, digits, - and _"
}

check_number() {
    [[ $2 =~ ^[0-9]{1,5}$ ]] || die "$1 must be a number, not '$2'"
}

check_dns_name() {
    [[ $1 =~ ^[a-z0-9*]([a-z0-9.-]{0,250}[a-z0-9])?$ ]] || die "'$1' is no DNS name"
}

lock_seconds=300

# Runs a function while holding a lock file; a second caller waits up to $lock_seconds for its turn.
# The function runs in a subshell, so that the lock ends with it; it passes results on by stdout or files.
locked() {
    local file=$1
    shift
    mkdir -p "$(dirname "$file")"
    (
        flock -w "$lock_seconds" 9 || die "another call has held $file for $lock_seconds s; end it and try again"
        "$@"
    ) 9>"$file"
}

# Calls a command until it succeeds; fails when the given number of seconds has passed.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

listening() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
