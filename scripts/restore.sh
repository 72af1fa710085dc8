#!/usr/bin/env bash
# Puts the database back as backup.sh saw it: ./scripts/restore.sh NAMESPACE FILE
#
# All or nothing (one transaction). A backup may be older than the release that runs: tables that came later go, and the
# migration runs again, in a Job of its own. What Redis remembers of the state before goes, and the API starts anew.
# Options: scripts/cluster.sh.
set -euo pipefail
usage="usage: restore.sh [--context NAME] [--yes-remote NAME] NAMESPACE FILE"
# shellcheck source=scripts/cluster.sh
source "$(dirname "$0")/cluster.sh"
options "$@"
namespace=${words[0]:?$usage} file=${words[1]:?$usage}
MIGRATED_WITHIN_S=300
[[ -r $file ]] || refuse "$file cannot be read"

main() {
    agree "$namespace" "the database is replaced by $file"
    database
    in_namespace rollout restart deployment/sb-redis
    in_namespace rollout status deployment/sb-redis --timeout 120s
    migration
    in_namespace rollout restart deployment/somabrain
    in_namespace rollout status deployment/somabrain --timeout 300s
}

# A backup that breaks off ends in a fault instead of the commit. Its grants are left out: the API's role need not be there,
# and the migration gives them again.
database() {
    # shellcheck disable=SC2016 # the pod's own variables
    in_namespace exec --stdin statefulset/postgres --container postgres -- sh -c '
        {
            echo "set client_min_messages = warning; begin; do \$\$ declare name text; begin
                for name in select tablename from pg_tables where schemaname = current_schema() loop
                    execute format(\$f\$drop table %I cascade\$f\$, name);
                end loop; end \$\$;"
            pg_restore --clean --if-exists --no-acl --file - && echo "commit;" ||
                echo "do \$\$ begin raise exception \$m\$the backup is not whole\$m\$; end \$\$;"
        } | psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$POSTGRES_DB" >/dev/null
    ' <"$file"
}

# The release's own Job has run, and stays as it is: who deployed it looks at it.
migration() {
    local job
    job=$(in_namespace get job somabrain-migrate --output json | jq '{
        apiVersion, kind, metadata: {generateName: "somabrain-migrate-restored-"},
        spec: (.spec | {backoffLimit, podFailurePolicy, activeDeadlineSeconds, template} | del(.[] | nulls)
            | .template.metadata.labels |= with_entries(select(.key | test("controller-uid|job-name") | not)))
    }' | in_namespace create --filename - --output name) || {
        echo "restore: the database is restored, but the migration of the Job somabrain-migrate could not be started;" \
            "deploy the release again, which migrates it" >&2
        exit 1
    }
    if ! completes "$job"; then
        in_namespace logs "$job" --all-containers --tail 20 >&2 || true
        echo "restore: the database is restored, but its migration ($job) has not ended well" >&2
        exit 1
    fi
    in_namespace delete "$job"
}

# completes JOB: `kubectl wait` waits for one condition, and would not see that it failed.
completes() {
    local end=$((SECONDS + MIGRATED_WITHIN_S))
    while ((SECONDS < end)); do
        case $(in_namespace get "$1" --output jsonpath='{.status.conditions[?(@.status=="True")].type}') in
        *Complete*) return ;;
        *Failed*) return 1 ;;
        esac
        sleep 1
    done
    return 1
}

main
