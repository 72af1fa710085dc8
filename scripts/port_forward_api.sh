#!/usr/bin/env bash
# Forwards the API to 127.0.0.1:9696 by kubectl, where devenv's own forward does not serve that port already.
#   [NAMESPACE=somabrain-prod] ./scripts/port_forward_api.sh [PORT]
set -euo pipefail
port=${1:-9696}
namespace=${NAMESPACE:-somabrain-prod}
PATH=$PATH:$(cd "$(dirname "$0")/.." && pwd)/.venv/bin # setup.sh puts kubectl there where there is none
NOBODY_LISTENS=7 # curl's exit code

code=0
answer=$(curl --silent --show-error --noproxy '*' --max-time 5 "http://127.0.0.1:$port/health" 2>&1) || code=$?
if ((code == NOBODY_LISTENS)); then
    exec kubectl --namespace "$namespace" port-forward svc/somabrain "$port:9696"
fi
# Any server may answer JSON: only the API's health has these.
if [[ $(jq 'has("embedder_ok") and (.components | has("wm_items"))' <<<"$answer" 2>/dev/null) == true ]]; then
    echo "127.0.0.1:$port already answers ($answer): devenv's forward serves it (devenv forward status)."
    echo "Nothing to forward; a second listener on the same port would only fail."
    exit 0
fi
echo "127.0.0.1:$port is taken by something that is not the API: $(head --lines 1 <<<"$answer")" >&2
echo "See who: devenv forward status; or: ss -ltnp 'sport = :$port'" >&2
exit 1
