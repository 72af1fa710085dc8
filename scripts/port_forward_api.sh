#!/usr/bin/env bash
# Forwards the API to 127.0.0.1:9696 by kubectl, where devenv's own forward does not serve that port already.
set -euo pipefail
port=${1:-9696}
namespace=${NAMESPACE:-somabrain-prod}

if answer=$(curl --silent --show-error --max-time 2 "http://127.0.0.1:$port/healthz" 2>&1); then
    echo "127.0.0.1:$port already answers ($answer): devenv's forward serves it (devenv forward status)."
    echo "Nothing to forward; a second listener on the same port would only fail."
    exit 0
fi
case $answer in
*"refused"* | *"connect to"*) ;;
*)
    echo "127.0.0.1:$port is taken by something that is not the API: $answer" >&2
    echo "See who: devenv forward status; or: ss -ltnp 'sport = :$port'" >&2
    exit 1
    ;;
esac
exec kubectl --namespace "$namespace" port-forward svc/somabrain "$port:9696"
