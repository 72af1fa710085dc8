#!/usr/bin/env bash
# Gives the stack's own Postgres (staging) a new password, and the API with it: ./scripts/rotate_password.sh NAMESPACE
# The password is shown nowhere. Open connections stay; until the new pods are ready, the old ones can open no new ones.
# (In dev the password is that of .env, and `devenv up` would put it back.)
set -euo pipefail
namespace=${1:?usage: rotate_password.sh NAMESPACE}
in_namespace() { kubectl --namespace "$namespace" "$@"; }
value() { in_namespace get secret "$1" --output jsonpath="{.data.$2}" | base64 --decode; }
# patch SECRET KEY VALUE: by standard input, because other processes see arguments.
patch() {
    jq --null-input --arg key "$2" --arg value "$3" '{stringData: {($key): $value}}' |
        in_namespace patch secret "$1" --patch-file /dev/stdin
}

user=$(value somabrain-postgres POSTGRES_USER) old=$(value somabrain-postgres POSTGRES_PASSWORD)
dsn=$(value somabrain-secrets SOMABRAIN_POSTGRES_DSN)
[[ $dsn == *":$old@"* ]] || {
    echo "rotate: the DSN in somabrain-secrets does not have the password of somabrain-postgres" >&2
    exit 1
}
new=$(head --bytes 32 /dev/urandom | base64 | tr -d '+/=\n')

# shellcheck disable=SC2016 # the pod's own variables
printf "alter role \"%s\" password '%s';\n" "$user" "$new" |
    in_namespace exec --stdin statefulset/postgres --container postgres -- \
        sh -c 'exec psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$POSTGRES_DB"'
patch somabrain-postgres POSTGRES_PASSWORD "$new"
patch somabrain-secrets SOMABRAIN_POSTGRES_DSN "${dsn/":$old@"/":$new@"}"
in_namespace rollout restart deployment/somabrain
in_namespace rollout status deployment/somabrain --timeout 300s
