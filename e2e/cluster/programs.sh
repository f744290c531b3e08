# What a node is made of: Debian's packages, and programs built from the pinned Go modules under modules/.
# In: modules/*, $home, the apt sources, Go. Out: one folder of programs per module under $home, $PATH with all of them.
# Must not know: namespaces, addresses, verbs.
# shellcheck shell=bash

modules=(probe etcd containerd kubernetes coredns helm)
# Program and package of Debian, each time.
from_debian=(
    runc runc /usr/lib/cni/bridge containernetworking-plugins iptables iptables conntrack conntrack
    openssl openssl ip iproute2 unshare util-linux mount mount
)

provide() {
    provide_packages
    programs_built || locked "$home/build.lock" build_programs
    use_programs
}

# A module's programs stand in a folder named after all that they are built from.
folder_of() {
    echo "$home/$1-$(cat "$here/modules/$1"/* | sha256sum | cut -c1-12)"
}

programs_built() {
    local module
    for module in "${modules[@]}"; do
        [ -d "$(folder_of "$module")" ] || return 1
    done
}

use_programs() {
    local module
    for module in "${modules[@]}"; do
        PATH=$(folder_of "$module"):$PATH
    done
}

provide_packages() {
    local at missing=()
    for ((at = 0; at < ${#from_debian[@]}; at += 2)); do
        command -v "${from_debian[at]}" >/dev/null || missing+=("${from_debian[at + 1]}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

install_packages() {
    [ "$(id -u)" -eq 0 ] || die "missing: $*; only root can install them"
    command -v apt-get >/dev/null || die "missing: $*; this system has no apt-get to install them with"
    say "cluster: installing $*"
    {
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } >&2 9>&- || die "could not install: $* (see above)"
}

# Go's caches are kept until everything is built, so that an interrupted build goes on where it was.
build_programs() {
    local module
    provide_go
    for module in "${modules[@]}"; do
        [ -d "$(folder_of "$module")" ] || build_module "$module"
    done
    rm -rf "$home/building"
}

build_module() {
    local module=$1 folder temp=$home/building/$1 start=$SECONDS
    folder=$(folder_of "$module")
    say "cluster: building $module into $folder"
    rm -rf "$temp"
    mkdir -p "$temp"
    # The linker leaves debugging information out, so that the compiler need not write it.
    in_module "$module" build -trimpath -buildvcs=false -gcflags=all=-dwarf=false \
        -ldflags "-s -w $(version_flags "$module")" \
        -o "$temp/" tool >"$temp.log" 2>&1 || {
        tail -15 "$temp.log" >&2
        die "$module could not be built (log above); run it again when the cause is gone, what is built is kept"
    }
    # A module's own name for its only program.
    [ ! -e "$temp/server" ] || mv "$temp/server" "$temp/$module"
    mv "$temp" "$folder"
    say "cluster: built $module in $((SECONDS - start)) s"
}

in_module() {
    local module=$1
    shift
    (
        cd "$here/modules/$module"
        export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS="${GOFLAGS:-} -modcacherw"
        export GOCACHE=$home/building/objects GOMODCACHE=$home/building/modules
        "$go" "$@"
    )
}

# Kubernetes tells its version to clients that decide by it; it comes in by the linker.
version_flags() {
    local version into=k8s.io/component-base/version
    [ "$1" = kubernetes ] || return 0
    version=$(sed -nE 's/^[[:space:]]*(require )?k8s.io\/kubernetes (v[0-9.]+).*/\2/p' "$here/modules/$1/go.mod")
    [[ $version =~ ^v([0-9]+)\.([0-9]+)\. ]] || die "modules/$1/go.mod names no version of k8s.io/kubernetes"
    echo "-X $into.gitVersion=$version -X $into.gitMajor=${BASH_REMATCH[1]} -X $into.gitMinor=${BASH_REMATCH[2]}"
}

# The youngest Go that a module asks for.
go_wanted() { sed -n 's/^go //p' "$here"/modules/*/go.mod | sort -V | tail -1; }

# Sets $go: the one on PATH when it is young enough. Otherwise any Go fetches the wanted one, which is a module too.
provide_go() {
    local wanted found own
    wanted=$(go_wanted)
    own=$home/go-$wanted
    if go=$(command -v go) && found=$(GOTOOLCHAIN=local go env GOVERSION) &&
        [ "$(printf '%s\n' "$wanted" "${found#go}" | sort -V | head -1)" = "$wanted" ]; then
        return
    fi
    [ -d "$own" ] || fetch_go "$wanted" "$own"
    go=$own/bin/go
}

fetch_go() {
    local wanted=$1 own=$2 temp=$home/building/go module
    command -v go >/dev/null || install_packages golang-go ca-certificates
    module=golang.org/toolchain@v0.0.1-go$wanted.linux-$(GOTOOLCHAIN=local go env GOARCH)
    say "cluster: fetching Go $wanted"
    rm -rf "$temp"
    mkdir -p "$temp"
    (cd "$temp" && GOTOOLCHAIN=local GOFLAGS=-modcacherw GOMODCACHE=$temp go mod download "$module") >&2 ||
        die "Go $wanted could not be fetched; install it and put it on PATH"
    # Modules carry no modes.
    chmod +x "$temp/$module"/bin/* "$temp/$module"/pkg/tool/*/*
    mv "$temp/$module" "$own"
    rm -rf "$temp"
}
