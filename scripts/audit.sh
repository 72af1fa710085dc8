#!/bin/bash
# Static audits of what is shipped: manifests, chart, Dockerfiles, workflows, secrets in the history, known faults of
# packages.
# Every exception stands here (or in the file that is named), with its reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
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

# What is installed from PyPI, and what is built from Go modules: a folder, and the packages that its `prepare` builds.
locks=(requirements.lock k8s/images/somabrain/requirements.lock)
go_programs=(
    "k8s/images/ingress ."
    "k8s/images/opa github.com/open-policy-agent/opa"
    "devenv/cluster/node_images/kube ./kube ./etcd ./coredns ./storage sigs.k8s.io/kube-network-policies/cmd"
    "devenv/cluster/node_images/cert-manager ."
    "devenv/cluster/node_images/pause ."
)
go_data=${GO_VULNERABILITIES:-https://vuln.go.dev} # a copy of the Go project's database serves too
unaudited=()

main() {
    programs
    manifests
    chart
    git ls-files -z '*Dockerfile' | xargs -0 "$tools/bin/hadolint"
    .venv/bin/actionlint
    .venv/bin/gitleaks git --no-banner --redact --log-level warn .
    python_packages
    go_modules
    verdict
}

programs() {
    ./scripts/tools.sh actionlint ct gitleaks govulncheck helm kube-score
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

# By chart-testing with its own rules, which lie beside it. It calls helm, yamllint and yamale.
chart() {
    local rules
    rules=$(dirname "$(readlink -f .venv/bin/ct)")/etc
    local options=(
        --chart-yaml-schema "$rules/chart_schema.yaml" --lint-conf "$rules/lintconf.yaml" --helm-lint-extra-args --strict
        # It would ask GitHub whether the maintainer has an account there.
        --validate-maintainers=false
        # It would compare with a branch of a remote repository, and a clone may have neither.
        --check-version-increment=false
    )
    PATH=$PWD/.venv/bin:$tools/bin:$PATH .venv/bin/ct lint --charts k8s/chart "${options[@]}" >"$work/said" 2>&1 || {
        cat "$work/said" >&2
        exit 1
    }
    # It reads values.yaml and ci/ alone; the other environments' are read by the same rules.
    "$tools/bin/yamllint" --config-file "$rules/lintconf.yaml" k8s/chart/values-*.yaml
}

# Known vulnerabilities, where PyPI's data can be had; a mirror of packages alone has none.
python_packages() {
    local lock one
    for lock in "${locks[@]}"; do
        one=$(sed -n 's|^\([a-z0-9-]*\)==\([^ ]*\) .*|\1/\2|p' "$lock" | head -n 1)
        if answers "https://pypi.org/pypi/$one/json" '"vulnerabilities"'; then
            "$tools/bin/pip-audit" --strict --disable-pip --require-hashes --requirement "$lock"
        else
            unaudited+=("$lock (pypi.org)")
        fi
    done
}

# Those in packages that a program has in it: what its modules have besides is no part of it.
go_modules() {
    local program folder packages
    for program in "${go_programs[@]}"; do
        read -r folder packages <<<"$program"
        if answers "$go_data/index/db.json" '"modified"'; then
            # shellcheck disable=SC2086  # each is a word
            .venv/bin/govulncheck -C "$folder" -db "$go_data" -scan package $packages
        else
            unaudited+=("$folder/go.mod (${go_data#*://})")
        fi
    done
}

# answers URL TEXT: the answer is read to its end, for who stops reading makes curl fail.
answers() { [[ $(curl --silent --fail --max-time 10 "$1") == *"$2"* ]]; }

# What nobody looked at is no part of "clean".
verdict() {
    if ((!${#unaudited[@]})); then
        echo "audit: clean"
        return
    fi
    echo "audit: clean as far as it went. NOT audited for known vulnerabilities, whose data could not be had:"
    printf '  %s\n' "${unaudited[@]}"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main
