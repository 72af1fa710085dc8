#!/bin/bash
# Static audits of what is shipped: manifests, Dockerfiles, workflows, secrets in the history, known faults of packages.
# Every exception stands here (or in the file that is named), with its reason.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/devenv
tools=$cache/tools/audit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What kube-score asks for and the stack answers in another way:
ignored=(
    # Images are named by digest or by content: what is present is what is meant.
    container-image-pull-policy
    # Ephemeral storage is bounded by the namespace's LimitRange, which this tool does not read.
    container-ephemeral-storage-request-and-limit
    # 999 is the user of the released images of Postgres and Redis, to whom their folders belong.
    container-security-context-user-group-id
    # Redis, OPA and Postgres have one question that tells whether they answer; liveness asks it with more patience.
    pod-probes-identical
    # One Postgres needs no name of its own for each pod; its Service is the one that clients use.
    statefulset-has-servicename
)

main() {
    programs
    manifests
    git ls-files -z '*Dockerfile' | xargs -0 "$tools/bin/hadolint"
    .venv/bin/actionlint
    .venv/bin/gitleaks git --no-banner --redact --log-level warn .
    packages
    echo "audit: clean"
}

programs() {
    ./scripts/tools.sh actionlint gitleaks kube-score
    local wanted
    wanted=$(cksum <scripts/audit.lock)
    # The interpreter that it was made with may have gone since.
    if [[ $(cat "$tools/.locked" 2>/dev/null) == "$wanted" ]] && "$tools/bin/python" -c '' 2>/dev/null; then return; fi
    .venv/bin/python -m venv --clear "$tools"
    "$tools/bin/pip" install --quiet --require-hashes --requirement scripts/audit.lock
    printf '%s' "$wanted" >"$tools/.locked"
}

# Every environment, against the schemas of Kubernetes and by kube-score's rules.
manifests() {
    local digest environment ignore=() test
    digest=sha256:$(printf '%064d' 0) # well formed; nothing is pulled
    for test in "${ignored[@]}"; do ignore+=(--ignore-test "$test"); done
    ./scripts/render.sh dev >"$work/dev.yaml"
    ./scripts/render.sh staging x.io/{somabrain,postgres,redis,opa}@"$digest" >"$work/staging.yaml"
    ./scripts/render.sh prod x.io/{somabrain,redis,opa}@"$digest" >"$work/prod.yaml"
    for environment in "$work"/*.yaml; do
        "$tools/bin/kubernetes-validate" --strict --quiet "$environment"
        .venv/bin/kube-score score "${ignore[@]}" "$environment" >"$work/said" || {
            cat "$work/said" >&2
            exit 1
        }
    done
}

# Known vulnerabilities, where PyPI's data can be had; a mirror of packages alone has none.
packages() {
    local one
    one=$(sed -n 's|^\([a-z0-9-]*\)==\([^ ]*\) .*|\1/\2|p' requirements.lock | head -n 1)
    if curl --silent --fail --max-time 5 "https://pypi.org/pypi/$one/json" | grep -q '"vulnerabilities"'; then
        "$tools/bin/pip-audit" --strict --disable-pip --require-hashes --requirement requirements.lock
    else
        echo "audit: no vulnerability data of PyPI can be reached from here: packages are NOT audited" >&2
    fi
}

main
