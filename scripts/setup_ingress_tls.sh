#!/usr/bin/env bash
# Provision the ingress's certificate and its resources, and see HTTPS work. Arguments go to `devenv tls up`:
#   ./scripts/setup_ingress_tls.sh [--issuer letsencrypt | letsencrypt-staging | URL [--ca-bundle FILE]] [--timeout 5m]
# On a laptop the environment's own authority signs; with a public name Let's Encrypt can, through cert-manager.
#
# This brings the stack of pyproject.toml up. Staging and production are not its: there cert-manager has the certificate
# made for the Ingress, by the issuer that the Ingress names (docs/production.md).
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

# The ingress and its resources are part of the stack; what is up already is left alone.
devenv up >/dev/null
devenv tls up "$@"

# Into variables first: a failure of devenv inside an argument would go unseen.
exports=$(devenv env)
status=$(devenv tls status -o json)
forwards=$(devenv forward status -o json)
eval "$exports"
field() { python -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$status" "$1"; }
host=$(field host) namespace=$(field namespace) address=$(field address)
port=$(python -c 'import json, sys; print(*(f["local_port"] for f in json.loads(sys.argv[1]) if f["probe"] == "tls"))' "$forwards")

echo
kubectl --namespace "$namespace" get ingress --output wide
cat <<ADVICE

$host is served at ${address%:*}. For a browser on this machine, add to /etc/hosts (nothing was changed):
  ${address%:*} $host
To trust the certificate of a local authority for good: devenv tls trust

ADVICE
echo "curl --resolve $host:$port:127.0.0.1 https://$host:$port/health"
curl --silent --show-error --fail --resolve "$host:$port:127.0.0.1" "https://$host:$port/health"
echo
