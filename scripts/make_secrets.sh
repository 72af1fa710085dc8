#!/usr/bin/env bash
# Prints the namespace and the stack's two Secrets, made from .env, for `kubectl apply -f -`.
# `devenv up` does this by itself; this is for applying k8s/full-stack.yaml by hand.
set -euo pipefail
cd "$(dirname "$0")/.."

namespace=${1:?usage: make_secrets.sh NAMESPACE | kubectl apply -f -}
if [ ! -f .env ]; then
    echo "no .env yet: run 'devenv up', or copy .env.example to .env and fill in the passwords" >&2
    exit 1
fi
# shellcheck disable=SC1091
. ./.env

secret() {
    echo ---
    kubectl --namespace "$namespace" create secret generic "$@" --dry-run=client --output yaml
}

kubectl create namespace "$namespace" --dry-run=client --output yaml |
    kubectl label --local --filename - pod-security.kubernetes.io/enforce=restricted --output yaml
secret somabrain-postgres --from-literal="POSTGRES_USER=$POSTGRES_USER" \
    --from-literal="POSTGRES_PASSWORD=$POSTGRES_PASSWORD" --from-literal="POSTGRES_DB=$POSTGRES_DB"
dsn="postgresql://$POSTGRES_USER:$POSTGRES_PASSWORD@postgres.$namespace.svc.cluster.local:5432/$POSTGRES_DB"
secret somabrain-secrets --from-literal="SOMABRAIN_POSTGRES_DSN=$dsn" \
    --from-literal="SOMABRAIN_API_TOKEN=$SOMABRAIN_API_TOKEN"
