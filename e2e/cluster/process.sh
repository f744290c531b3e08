# The node's process, and what of it the host can see: a state folder, one network link, one control group.
# In: programs on $PATH, $state. Out: a running node, or nothing left of it.
# Must not know: what is deployed in the cluster.
# shellcheck shell=bash

# Folders that parts of a node write to whatever they are told; the node covers them with empty ones in memory.
covered=(/var/lib/cni /var/lib/kubelet)

# Prints the pid of the process that holds the namespaces. A pid file whose process is gone is stale.
node_pid() {
    local pid
    pid=$(cat "$state/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "$state" || return 1
    echo "$pid"
}

node_runs() { node_pid >/dev/null; }
node_gone() { ! node_runs; }

# Prints the host's pid of the node's first process.
init_pid() {
    local pid init
    pid=$(node_pid) && init=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null) && [ -n "$init" ] || return 1
    echo "${init%% *}"
}

# False as well for a node whose start was interrupted: its link may lack an address.
launched() { [ -e "$state/launched" ] && node_runs; }

has_init() { init_pid >/dev/null; }
linked() { ip link show "$link" >/dev/null 2>&1; }
unlinked() { ! linked; }

must_be_root() {
    [ "$(id -u)" -eq 0 ] ||
        die "a node of our own needs root (try sudo -E); or name an existing cluster by KUBECONFIG"
}

start_node() {
    unlinked || die "the link $link belongs to another cluster, whose state is not in $state; end that one first"
    case $state/ in
    /run/* | /var/log/*) die "a node cannot keep its state in $state; name another GHOSTSHIP_CACHE" ;;
    esac
    mkdir -p "$state/log"
    make_credentials "$state/pki"
    make_groups
    mkdir -p "${covered[@]}"
    launch_node
}

# Nothing is inherited: neither descriptors (a lock or a pipe of the caller) nor the environment.
launch_node() {
    setsid env -i PATH="$PATH" HOME=/run bash "$here/../servers/detached.sh" "$state/pid" \
        unshare --mount --net --pid --fork --kill-child --mount-proc "$here/node/init" "$state" \
        </dev/null >"$state/log/init.log" 2>&1 &
    wait_until 10 has_init || die "the node's namespaces were not made; see $state/log/init.log"
    ip link add "$link" type veth peer name "$link" netns "$(init_pid)"
    ip address add "$host_address/$link_bits" dev "$link"
    ip link set "$link" up
    touch "$state/launched"
}

# The control groups that the kubelet works in: one in the one tree of version 2, or one per controller.
group_roots() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    else
        find /sys/fs/cgroup -mindepth 2 -maxdepth 2 -name cgroup.procs -printf '%h\n'
    fi
}

make_groups() {
    local root file
    for root in $(group_roots); do
        [ "$root" != /sys/fs/cgroup ] || hand_down "$root"
        mkdir -p "$root/ghostship-node"
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$root/cpuset.cpu_exclusive" ] || cat "$root/$file" >"$root/ghostship-node/$file"
        done
        weigh_pods "$root/ghostship-node"
    done
}

# All pods together weigh as much as ten processes of this machine. With as much as one, which is what a
# new group gets, they starve beside a server and its load: a node of its own has nobody beside its pods.
weigh_pods() {
    [ ! -e "$1/cpu.shares" ] || echo 10240 >"$1/cpu.shares"
    [ ! -e "$1/cpu.weight" ] || echo 1000 >"$1/cpu.weight"
}

# In the one tree of version 2 a group has only the controllers that its parent hands down.
hand_down() {
    local controller
    for controller in $(cat "$1/cgroup.controllers"); do
        echo "+$controller" >"$1/cgroup.subtree_control" || true
    done 2>/dev/null
}

no_groups() {
    local root group left=0
    for root in $(group_roots); do
        group=$root/ghostship-node
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
    done
    return $left
}

# Ends the node if it runs, and removes what a node leaves, also one that was interrupted while it started.
remove_node() {
    local pid init
    if pid=$(node_pid); then
        init=$(init_pid) || init=$pid
        kill -KILL "$init" 2>/dev/null || true
        wait_until 30 node_gone || die "the node's first process (pid $init) does not end"
    fi
    wait_until 30 unlinked || die "the link $link does not vanish; remove it: ip link delete $link"
    wait_until 30 no_groups || die "control groups stay below /sys/fs/cgroup/*/ghostship-node; is a process in them?"
    rmdir "${covered[@]}" 2>/dev/null || true
    rm -rf "$state"
}

# Runs a program among the node's mounts and network.
inside() { nsenter --target "$(init_pid)" --mount --net -- "$@"; }
