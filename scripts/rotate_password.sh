#!/usr/bin/env bash
# Gives the stack's own Postgres (staging) a new password, and the API, whose own role gets another:
# ./scripts/rotate_password.sh NAMESPACE
# The passwords are shown nowhere. Open connections stay; until the new pods are ready, the old ones can open no new ones.
# Where it fails on its way, run it again: a new password is kept in its Secret before Postgres hears of it.
# (In dev the password is that of .env, and `devenv up` would put it back.) Options: scripts/cluster.sh.
set -euo pipefail
usage="usage: rotate_password.sh [--context NAME] [--yes-remote NAME] NAMESPACE"
# shellcheck source=scripts/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
next=POSTGRES_PASSWORD_NEXT

main() {
    options "$@"
    namespace=${words[0]:?$usage}
    agree "$namespace" "Postgres gets new passwords"
    local user old new dsn app
    user=$(value somabrain-postgres POSTGRES_USER) old=$(value somabrain-postgres POSTGRES_PASSWORD)
    new=$(value somabrain-postgres $next) dsn=$(value somabrain-secrets SOMABRAIN_POSTGRES_DSN)
    given=$(password_of "$dsn")
    [[ $given == "$old" || (-n $new && $given == "$new") ]] || {
        echo "rotate: the DSN in somabrain-secrets does not have the password of somabrain-postgres" >&2
        exit 1
    }
    if [[ -z $new ]]; then
        new=$(made)
        patch somabrain-postgres $next "$new"
    fi
    alter "$user" "$new"
    patch somabrain-secrets SOMABRAIN_POSTGRES_DSN "$(with_password "$dsn" "$new")"

    # The API's own role, where it has one. A run that is cut off here gives it another password when it is run again.
    app=$(value somabrain-app SOMABRAIN_POSTGRES_DSN --ignore-not-found)
    if [[ -n $app ]]; then
        app=$(with_password "$app" "$(made)")
        patch somabrain-app SOMABRAIN_POSTGRES_DSN "$app"
        alter "$(user_of "$app")" "$(password_of "$app")"
    fi

    patch somabrain-postgres POSTGRES_PASSWORD "$new"
    in_namespace patch secret somabrain-postgres --patch "{\"data\": {\"$next\": null}}"
    in_namespace rollout restart deployment/somabrain
    in_namespace rollout status deployment/somabrain --timeout 300s
}

made() { head --bytes 32 /dev/urandom | base64 | tr -d '+/=\n'; }

# alter ROLE PASSWORD: letters and digits alone, which need no quoting.
alter() {
    # shellcheck disable=SC2016 # the pod's own variables
    printf "alter role \"%s\" password '%s';\n" "${1//\"/\"\"}" "$2" |
        in_namespace exec --stdin statefulset/postgres --container postgres -- \
            sh -c 'exec psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$POSTGRES_DB"'
}

# value SECRET KEY [OPTION]
value() { in_namespace get secret "$1" --output jsonpath="{.data.$2}" "${@:3}" | base64 --decode; }

# patch SECRET KEY VALUE: by standard input, because other processes see arguments.
patch() {
    printf %s "$3" | jq --raw-input --slurp --arg key "$2" '{stringData: {($key): .}}' |
        in_namespace patch secret "$1" --patch-file /dev/stdin
}

DSN='^([^:]+://([^:/@]*):)([^@/]*)(@.*)$'

# password_of DSN: what stands between the user and the host, without the quoting of URLs.
password_of() { [[ ! $1 =~ $DSN ]] || unquoted "${BASH_REMATCH[3]}"; }

user_of() { [[ ! $1 =~ $DSN ]] || unquoted "${BASH_REMATCH[2]}"; }

unquoted() {
    local quoted=${1//\\/\\\\}
    printf '%b' "${quoted//%/\\x}"
}

# with_password DSN PASSWORD: a new one is made of letters and digits, which need no quoting.
with_password() {
    [[ $1 =~ $DSN ]] && printf %s "${BASH_REMATCH[1]}$2${BASH_REMATCH[4]}"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
