#!/usr/bin/env bash
# Inside a GitHub job: writes the file $KUBECONFIG, with which the job is itself to a cluster. No key is stored: GitHub
# vouches for the job, and the API server was told to believe GitHub (docs/production.md). GitHub's tokens live for
# minutes, a release longer, so the file has none: it names the program that asks for the next one.
#
#   CLUSTER_URL and CLUSTER_CA (PEM) name the cluster, CLUSTER_AUDIENCE whom the token is for.
set -euo pipefail
# GitHub gives an empty text for a variable that is not there.
missing="set this variable of the environment in the repository's settings (docs/production.md)"
: "${CLUSTER_URL:?$missing}" "${CLUSTER_CA:?$missing}" "${CLUSTER_AUDIENCE:?$missing}"
: "${ACTIONS_ID_TOKEN_REQUEST_URL:?the job needs the permission id-token: write}"
plugin=$(cd "$(dirname "$0")" && pwd)/ci_credential.sh

rm -f -- "$KUBECONFIG" # a file that is there would keep its mode
# What is refused now would be refused in the middle of a release.
"$plugin" >/dev/null

umask 077
jq --null-input --arg plugin "$plugin" '{
    apiVersion: "v1", kind: "Config", "current-context": "target",
    clusters: [{name: "target", cluster: {
        server: env.CLUSTER_URL, "certificate-authority-data": (env.CLUSTER_CA + "\n" | @base64)
    }}],
    users: [{name: "job", user: {exec: {
        apiVersion: "client.authentication.k8s.io/v1", interactiveMode: "Never", command: $plugin,
        env: [{name: "CLUSTER_AUDIENCE", value: env.CLUSTER_AUDIENCE}]
    }}}],
    contexts: [{name: "target", context: {cluster: "target", user: "job"}}]
}' >"$KUBECONFIG"
