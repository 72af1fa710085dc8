#!/usr/bin/env bash
# Writes the database of the stack's own Postgres (dev, staging) into a file: ./scripts/backup.sh NAMESPACE FILE
# One consistent state, taken while the API works on. The file is there whole or not at all. Options: scripts/cluster.sh.
set -euo pipefail
usage="usage: backup.sh [--context NAME] [--yes-remote NAME] NAMESPACE FILE"
# shellcheck source=scripts/cluster.sh
source "$(dirname "$0")/cluster.sh"
options "$@"
namespace=${words[0]:?$usage} file=${words[1]:?$usage}
agree "$namespace" "the database is written to $file"

umask 077
trap 'rm -f "$file.part"' EXIT
# shellcheck disable=SC2016 # the pod's own variables
in_namespace exec statefulset/postgres --container postgres -- \
    sh -c 'exec pg_dump --format custom --username "$POSTGRES_USER" "$POSTGRES_DB"' </dev/null >"$file.part"
mv "$file.part" "$file"
