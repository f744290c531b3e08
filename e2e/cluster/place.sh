# Which cluster is meant: an own one, one of kind's, or an existing one. Sourced by `cluster` and `mysql`.
# In: GHOSTSHIP_CLUSTER, KUBECONFIG, $here. Out: $place, $kubeconfig, $home, $state, $deadline, the node's addresses.
# Must not know: programs, processes.
# shellcheck shell=bash disable=SC2034

# shellcheck source-path=SCRIPTDIR source=../servers/common.sh
. "$here/../servers/common.sh"
# shellcheck source-path=SCRIPTDIR source=node/addresses.sh
. "$here/node/addresses.sh"

home=$(realpath -m "${GHOSTSHIP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ghostship}")/cluster
state=$home/state
deadline=${GHOSTSHIP_CLUSTER_DEADLINE:-180}
# A second caller waits even for a first build.
lock_seconds=3600
kind_name=ghostship

choose_place() {
    local named=${KUBECONFIG:-}
    case ${GHOSTSHIP_CLUSTER:-} in
    '') place=own kubeconfig=$state/pki/admin.kubeconfig ;;
    kind) place=kind kubeconfig=$home/kind.kubeconfig ;;
    *) die "GHOSTSHIP_CLUSTER is '$GHOSTSHIP_CLUSTER'; it can be 'kind', or be left unset" ;;
    esac
    if [ -n "$named" ] && [ "$(realpath -m "$named")" != "$kubeconfig" ]; then
        [ "$place" = own ] || die "GHOSTSHIP_CLUSTER and KUBECONFIG name two clusters; unset one of them"
        [[ $named != *:* ]] || die "KUBECONFIG names several files; name one: kubectl config view --flatten makes it"
        place=existing kubeconfig=$named
    fi
    # What clients keep of a cluster's API goes with the cluster: the next one has the same address.
    [ "$place" != own ] || export KUBECACHEDIR=$state/clients
}

choose_place
