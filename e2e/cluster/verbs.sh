# The verbs of `cluster`: each chooses by the place of the cluster and puts the pieces together.
# In: the verb's arguments. Out: one line on stdout, or nothing.
# Must not know: how programs are built, how the node's parts are called.
# shellcheck shell=bash

verb_help() {
    cat <<'HELP'
cluster: a throw-away Kubernetes of one node, without a container engine

  provide          make sure that all programs are there; the first time builds them (minutes)
  up               start the cluster (or find it running); prints the path of its kubeconfig
  wait [SECONDS]   wait until its API answers, its node is ready and names are resolved
  load IMAGE.tar   import images (made by ./image); pods name them with imagePullPolicy Never
  kubectl ARGS     run kubectl against it
  helm ARGS        run helm against it
  status           what runs, where; exits with 1 when nothing does
  host-address     print the address under which pods reach this host
  down             end it and remove all it had, MySQL servers of ./mysql included

./image packs a static program into an image; ./mysql gives pods a MySQL server; ./selftest tries everything.

Which cluster, first that fits:
  KUBECONFIG=FILE          an existing one, used as it is; up and down do nothing
  GHOSTSHIP_CLUSTER=kind   one that kind makes, named ghostship; needs kind, kubectl and a container engine
  otherwise                a node of our own; needs root and Linux, and no other cluster minds it

  GHOSTSHIP_CACHE              programs and state                         (~/.cache/ghostship)
  GHOSTSHIP_CLUSTER_DEADLINE   seconds that a start may take              (180)
  GHOSTSHIP_HOST_ADDRESS       where pods of kind's or an existing cluster reach this host
  GHOSTSHIP_LOAD               command that gives an existing cluster an image; IMAGE.tar is added to it
                               (kind load image-archive, when the context is one of kind's)
HELP
}

verb_provide() {
    [ "$place" = own ] || die "provide builds a node of our own; unset KUBECONFIG and GHOSTSHIP_CLUSTER"
    provide
    echo "Kubernetes $(kubelet --version | cut -d ' ' -f 2) under $home"
}

verb_up() {
    case $place in
    own)
        must_be_root
        provide
        locked "$home/lock" up_locked
        ;;
    kind) locked "$home/lock" up_kind >&2 ;;
    existing) say "cluster: KUBECONFIG names an existing cluster; it is used as it is" ;;
    esac
    echo "$kubeconfig"
}

up_locked() {
    if ! launched; then
        remove_node
        start_node
    fi
    wait_until "$deadline" answers ||
        die "the API did not answer within $deadline s (GHOSTSHIP_CLUSTER_DEADLINE); see $state/log"
    [ -e "$state/furnished" ] || furnish
    wait_ready "$deadline"
}

# What every cluster has: the image of the pods' sandboxes, and names.
furnish() {
    "$here/image" "$state/probe.tar" localhost/probe:1 "$(command -v probe)" >/dev/null
    "$here/image" "$state/coredns.tar" localhost/coredns:1 "$(command -v coredns)" >/dev/null
    wait_until "$deadline" import "$state/probe.tar" >/dev/null || die "containerd takes no image; see $state/log"
    import "$state/coredns.tar" >/dev/null
    rm "$state/probe.tar" "$state/coredns.tar"
    "${kubectl[@]}" apply --filename="$here/manifests/coredns.yaml" >/dev/null
    touch "$state/furnished"
}

import() { inside ctr --namespace k8s.io images import - <"$1" 2>"$state/log/import.log"; }

up_kind() {
    command -v kind >/dev/null || die "kind is missing; install it, or unset GHOSTSHIP_CLUSTER"
    kind get clusters 2>/dev/null | grep -qxF "$kind_name" ||
        kind create cluster --name "$kind_name" --wait "${deadline}s"
    kind export kubeconfig --name "$kind_name" --kubeconfig "$kubeconfig"
}

verb_down() {
    case $place in
    own)
        must_be_root
        locked "$home/lock" down_locked
        ;;
    kind)
        command -v kind >/dev/null || die "kind is missing; install it, or unset GHOSTSHIP_CLUSTER"
        destroy_servers
        kind delete cluster --name "$kind_name"
        rm -f "$kubeconfig"
        ;;
    existing) say "cluster: KUBECONFIG names an existing cluster; it is left alone" ;;
    esac
}

down_locked() {
    destroy_servers
    remove_node
}

# Servers that ./mysql has started for this cluster; each line is a name and the folder of servers it is in.
destroy_servers() {
    local run name
    [ -f "$home/servers" ] || return 0
    while read -r name run; do
        GHOSTSHIP_SERVERS=$run "$here/../servers/server" destroy "$name"
    done <"$home/servers"
    rm "$home/servers"
}

verb_load() {
    local tar
    for tar in "$@"; do
        [ -f "$tar" ] || die "there is no file $tar"
        case $place in
        own)
            must_run
            use_programs
            import "$tar" || die "containerd refused $tar: $(tail -1 "$state/log/import.log")"
            ;;
        kind) kind load image-archive "$tar" --name "$kind_name" ;;
        existing) load_existing "$tar" ;;
        esac
    done
}

# Not ours, so only its owner knows how it gets an image, unless kind has made it.
load_existing() {
    local tar=$1 of_kind command
    read -ra command <<<"${GHOSTSHIP_LOAD:-}"
    of_kind=$(kind_of_context)
    if [ ${#command[@]} -gt 0 ]; then
        "${command[@]}" "$tar" >&2 || die "GHOSTSHIP_LOAD (${command[*]}) could not load $tar"
    elif [ -n "$of_kind" ]; then
        kind load image-archive "$tar" --name "$of_kind"
    else
        die "an existing cluster takes its images from a registry: push $tar there and name it by GHOSTSHIP_IMAGE, or name by GHOSTSHIP_LOAD the command that loads it"
    fi
}

# The name of the cluster of kind's that the context is about; nothing when it is none, or kind is missing.
kind_of_context() {
    local context
    command -v kind >/dev/null || return 0
    context=$("${kubectl[@]}" config current-context)
    [[ $context != kind-* ]] || echo "${context#kind-}"
}

must_run() { node_runs || die "there is no cluster; start it with: cluster up"; }

# The kubectl that belongs to the cluster, else the one on PATH.
find_client() {
    local program=$1
    [ "$place" != own ] || must_run
    if [ -d "$(folder_of kubernetes)" ] && [ -d "$(folder_of helm)" ]; then use_programs; fi
    command -v "$program" >/dev/null ||
        die "$program is missing; install it, or build it with: env -u KUBECONFIG -u GHOSTSHIP_CLUSTER e2e/cluster/cluster provide"
}

verb_kubectl() {
    find_client kubectl
    # Not by a flag: kubectl calls no plugin whose name stands behind one.
    KUBECONFIG=$kubeconfig kubectl "$@"
}

verb_helm() {
    find_client helm
    helm --kubeconfig "$kubeconfig" "$@"
}

answers() { "${kubectl[@]}" get --raw /readyz >/dev/null 2>&1; }

node_listed() { [ -n "$("${kubectl[@]}" get nodes --output=name 2>/dev/null)" ]; }

# Waits for each thing in turn, together no longer than the given seconds.
wait_ready() {
    local end=$((SECONDS + $1))
    wait_until "$1" answers || die "the API does not answer within $1 s"
    wait_until $((end - SECONDS)) node_listed || die "no node appears within $1 s; see $state/log"
    "${kubectl[@]}" wait --for=condition=Ready nodes --all --timeout=$((end - SECONDS + 1))s >/dev/null ||
        die "the node is not ready within $1 s; see $state/log"
    "${kubectl[@]}" --namespace=kube-system rollout status deployment/coredns \
        --timeout=$((end - SECONDS + 1))s >/dev/null || die "CoreDNS is not ready within $1 s; see $state/log"
}

verb_wait() {
    local seconds=${1:-$deadline}
    check_number SECONDS "$seconds"
    find_client kubectl
    wait_ready "$seconds"
}

verb_status() {
    if [ "$place" = own ] && node_gone; then
        echo "no cluster"
        return 1
    fi
    case $place in
    own) echo "running: a node of our own, pid $(init_pid), state in $state" ;;
    kind) echo "kind's cluster $kind_name" ;;
    existing) echo "existing cluster named by KUBECONFIG" ;;
    esac
    echo "kubeconfig: $kubeconfig"
    find_client kubectl
    "${kubectl[@]}" get nodes,pods --all-namespaces --output=wide
}

verb_host_address() {
    if [ -n "${GHOSTSHIP_HOST_ADDRESS:-}" ]; then
        echo "$GHOSTSHIP_HOST_ADDRESS"
    elif [ "$place" = own ]; then
        echo "$host_address"
    else
        die "GHOSTSHIP_HOST_ADDRESS must say under which address of this host pods of that cluster reach it"
    fi
}

kubectl=(kubectl --kubeconfig "$kubeconfig")
