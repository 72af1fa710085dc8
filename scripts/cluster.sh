#!/usr/bin/env bash
# Sourced by the scripts that work on a cluster's data: which cluster they mean, and whether they may touch it.
#
#   --context NAME      a context of your kubeconfig; without it, the current one
#   --yes-remote NAME   the context again, where its cluster is not on this machine: without it, a person is asked
script=$(basename "$0" .sh)
context="" confirmed="" namespace="" words=()
PATH=$PATH:$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.venv/bin # setup.sh puts kubectl there where there is none

refuse() {
    printf '%s: %s\n' "$script" "$1" >&2
    exit 2
}

# options WORD…: sets `context`, `confirmed` and, of what is left, `words`.
options() {
    while (($#)); do
        case $1 in
        --context | --yes-remote)
            [[ -n ${2:-} ]] || refuse "$1 needs the name of a context"
            if [[ $1 == --context ]]; then context=$2; else confirmed=$2; fi
            shift 2
            ;;
        -*) refuse "there is no option $1; there are --context NAME and --yes-remote NAME" ;;
        *)
            words+=("$1")
            shift
            ;;
        esac
    done
}

# agree NAMESPACE WHAT: says what is about to be done, and where. Far clusters are touched only where that is confirmed.
agree() {
    [[ -n $context ]] || context=$(kubectl config current-context) || refuse "pass --context NAME"
    local view address far=""
    view=$(kubectl config view --minify --context "$context" --output json) || refuse "no usable context $context"
    # A tunnel or a proxy makes a cluster look local.
    while read -r address; do
        is_local "$address" || far=$address
    done < <(jq --raw-output '.clusters[0].cluster | .server, ."proxy-url", ."tls-server-name" | values' <<<"$view")
    echo "$script: context $context, namespace $1: $2" >&2
    [[ -z $confirmed || $confirmed == "$context" ]] ||
        refuse "--yes-remote names $confirmed, but the context is $context; nothing was done"
    [[ -n $far && -z $confirmed ]] || return 0
    local answer=""
    if [[ -t 0 && -t 2 ]]; then
        read -r -p "$context is at $far, which is not on this machine. Its name, to go on: " answer
    fi
    [[ $answer == "$context" ]] ||
        refuse "$context is at $far, which is not on this machine: pass --yes-remote $context; nothing was done"
}

is_local() {
    local host=${1#*://}
    host=${host%%/*}
    host=${host##*@}
    case $host in
    localhost | localhost:* | *.localhost | *.localhost:* | \[::1\]*) ;;
    *) [[ $host =~ ^(127(\.[0-9]+){3}|0\.0\.0\.0)(:[0-9]+)?$ ]] ;;
    esac
}

in_namespace() { kubectl --context "$context" --namespace "$namespace" "$@"; }
