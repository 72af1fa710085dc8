#!/usr/bin/env bash
# Puts the database back as backup.sh saw it: ./scripts/restore.sh NAMESPACE FILE
# All or nothing (one transaction). What Redis remembers of the state before goes, and the API starts anew.
set -euo pipefail
namespace=${1:?usage: restore.sh NAMESPACE FILE} file=${2:?usage: restore.sh NAMESPACE FILE}

in_namespace() { kubectl --namespace "$namespace" "$@"; }
# shellcheck disable=SC2016 # the pod's own variables
in_namespace exec --stdin statefulset/postgres --container postgres -- \
    sh -c 'exec pg_restore --clean --if-exists --single-transaction --exit-on-error \
        --username "$POSTGRES_USER" --dbname "$POSTGRES_DB"' <"$file"
in_namespace rollout restart deployment/sb-redis deployment/somabrain
in_namespace rollout status deployment/sb-redis --timeout 120s
in_namespace rollout status deployment/somabrain --timeout 300s
