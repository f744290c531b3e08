# Finds or fetches a MySQL server and keeps an initialised, empty data directory to copy from.
# In: GHOSTSHIP_TEST_URL, PATH, the machine's apt sources. Out: $origin, $version and the arrays
# $mysqld, $mysqld_options and $mysql that start the programs.
# Must not know: names of servers, ports, state folders.
# shellcheck shell=bash

oldest=8.0.13
url_pattern='^mysql://([^:@/]+)(:([^@/]*))?@([^:/?]+)(:([0-9]+))?'

provide() {
    mysqld_options=()
    if [ -n "${GHOSTSHIP_TEST_URL:-}" ]; then
        use_existing
    elif use_path; then
        origin=path
    else
        use_debian
    fi
}

use_existing() {
    [[ $GHOSTSHIP_TEST_URL =~ $url_pattern ]] ||
        die "GHOSTSHIP_TEST_URL is not of the form mysql://USER:PASSWORD@HOST:PORT"
    origin=url version=unknown mysqld=()
    if command -v mysql >/dev/null; then
        mysql=(mysql)
    elif [ -d "$cache/mysql" ]; then
        debian_programs
        mysqld=()
    else
        mysql=()
    fi
}

# A mysqld on PATH counts when it is MySQL (not MariaDB), young enough, and has its client beside it.
use_path() {
    local line
    command -v mysqld >/dev/null || return 1
    line=$(mysqld --no-defaults --version 2>/dev/null) || line=
    version=$(sed -nE 's/.*Ver ([0-9][^ ]*) .*/\1/p' <<<"$line")
    if [[ -z $version || $line == *MariaDB* ]]; then
        say "server: the mysqld on PATH is not MySQL; it is passed over"
        return 1
    fi
    if [ "$(printf '%s\n' "$oldest" "${version%%-*}" | sort -V | head -1)" != "$oldest" ]; then
        say "server: the mysqld on PATH is $version, older than $oldest; it is passed over"
        return 1
    fi
    command -v mysql >/dev/null || die "there is a mysqld on PATH but no mysql client: install it as well"
    mysqld=(mysqld) mysql=(mysql)
}

use_debian() {
    origin=debian
    [ -d "$cache/mysql" ] || locked "$cache/lock" fetch_debian
    debian_programs
    version=$(cat "$cache/mysql/version")
}

# The packages' own loader and libraries start the programs: no chroot, no mounts and no privileges, and the
# host's libraries do not matter. The links named after the programs give the processes their usual names.
debian_programs() {
    local root=$cache/mysql/root libs
    libs=$(dirname "$(echo "$root"/usr/lib/*/libc.so.6)")
    local own=(env "OPENSSL_CONF=$cache/mysql/openssl.cnf" "OPENSSL_MODULES=$libs/ossl-modules")
    mysqld=("${own[@]}" "$cache/mysql/mysqld" --library-path "$libs" "$root/usr/sbin/mysqld")
    mysql=("${own[@]}" "$cache/mysql/mysql" --library-path "$libs" "$root/usr/bin/mysql")
    mysqld_options=(
        "--basedir=$root/usr" "--plugin-dir=$root/usr/lib/mysql/plugin"
        "--lc-messages-dir=$root/usr/share/mysql" "--character-sets-dir=$root/usr/share/mysql/charsets"
    )
}

fetch_debian() {
    [ ! -d "$cache/mysql" ] || return 0
    need_mmdebstrap
    local mirror temp loader
    mirror=$(debian_mirror)
    temp=$(mktemp -d "$cache/.mysql.XXXXXX")
    say "server: fetching Debian's MySQL packages into $cache/mysql (about 410 MB)"
    extract_debian "$temp" "$mirror" >"$temp/log" 2>&1 || {
        tail -15 "$temp/log" >&2
        rm -rf "$temp"
        no_server "Debian's packages could not be extracted (see above)"
    }
    loader=$(cd "$temp" && readlink -f root/usr/lib/*/ld-linux*.so.* | head -1)
    ln -s "${loader#"$(readlink -f "$temp")"/}" "$temp/mysqld"
    ln -s mysqld "$temp/mysql"
    : >"$temp/openssl.cnf"
    "$temp/mysqld" --library-path "$(dirname "$loader")" "$temp/root/usr/sbin/mysqld" --version |
        sed -nE 's/.*Ver ([0-9][^ ]*) .*/\1/p' >"$temp/version"
    [ -s "$temp/version" ] || no_server "the extracted mysqld does not run; its files are in $temp"
    chmod 755 "$temp"
    mv "$temp" "$cache/mysql"
}

# By way of an archive, so that the files belong to the caller whoever it is.
extract_debian() {
    local temp=$1 mirror=$2
    mkdir "$temp/root"
    timeout 900 mmdebstrap --variant=extract --format=tar --include=mysql-server-core,mysql-client-core \
        --aptopt='Acquire::Check-Valid-Until "false"' unstable "$temp/root.tar" "$mirror" &&
        tar -C "$temp/root" --exclude=./dev --no-same-owner -xf "$temp/root.tar" &&
        rm "$temp/root.tar"
}

need_mmdebstrap() {
    command -v mmdebstrap >/dev/null && return
    [ "$(id -u)" -eq 0 ] || no_server "mmdebstrap is missing and only root can install it"
    command -v apt-get >/dev/null || no_server "this system has no apt-get to install mmdebstrap with"
    say "server: installing mmdebstrap"
    { apt-get update -qq && apt-get install -y -qq mmdebstrap; } >&2 9>&- ||
        no_server "mmdebstrap could not be installed"
}

# The Debian archive that this machine already uses; GHOSTSHIP_DEBIAN_MIRROR overrides it.
debian_mirror() {
    local mirror=${GHOSTSHIP_DEBIAN_MIRROR:-}
    [ -n "$mirror" ] || mirror=$(
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
            sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' | grep -m1 -E '/debian(/|$)' ||
            sed -nE 's/^URIs: *([^ ]+).*/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null |
            grep -m1 -E '/debian(/|$)'
    ) || no_server "no Debian archive in the apt sources (GHOSTSHIP_DEBIAN_MIRROR can name one)"
    echo "$mirror"
}

no_server() {
    say "server: $1"
    say "server: no MySQL server can be provided. One of three ways is needed:"
    say "  1. GHOSTSHIP_TEST_URL=mysql://USER:PASSWORD@HOST:PORT of an existing throw-away server"
    say "  2. mysqld and mysql (MySQL $oldest or later) on PATH"
    say "  3. mmdebstrap (root may let this script install it) and a Debian archive in the apt sources"
    exit 1
}

# Prints the folder of the initialised empty data directory; makes it on first use.
template() {
    local made=$cache/template-$origin-$version
    [ -d "$made" ] || locked "$cache/lock" make_template "$made"
    echo "$made"
}

# The password is random per cache. The account is made while nothing is binlogged, so that replicas of
# servers copied from here share no errant transactions.
make_template() {
    local made=$1 temp password
    [ ! -d "$made" ] || return 0
    temp=$(mktemp -d "$cache/.template.XXXXXX")
    password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && echo "$password" >"$temp/password" && cat >"$temp/init.sql") <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED BY '$password';
CREATE USER 'root'@'%' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;
SQL
    timeout 300 "${mysqld[@]}" --no-defaults "${mysqld_options[@]}" --initialize-insecure "${as_user[@]}" \
        --datadir="$temp/data" --init-file="$temp/init.sql" >"$temp/log" 2>&1 9>&- </dev/null || {
        tail -15 "$temp/log" >&2
        die "mysqld could not initialise a data directory under $cache (log above, files in $temp); when
AppArmor or SELinux confines mysqld, allow it that folder or use one of the other ways (server help)"
    }
    rm -f "$temp"/data/auto.cnf "$temp"/data/binlog.* "$temp/init.sql"
    mv "$temp" "$made"
}
