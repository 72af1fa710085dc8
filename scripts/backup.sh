#!/usr/bin/env bash
# Writes the database of the stack's own Postgres (dev, staging) into a file: ./scripts/backup.sh NAMESPACE FILE
# One consistent state, taken while the API works on. The file is there whole or not at all.
set -euo pipefail
namespace=${1:?usage: backup.sh NAMESPACE FILE} file=${2:?usage: backup.sh NAMESPACE FILE}

umask 077
trap 'rm -f "$file.part"' EXIT
# shellcheck disable=SC2016 # the pod's own variables
kubectl --namespace "$namespace" exec statefulset/postgres --container postgres -- \
    sh -c 'exec pg_dump --format custom --username "$POSTGRES_USER" "$POSTGRES_DB"' >"$file.part"
mv "$file.part" "$file"
