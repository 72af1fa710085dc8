#!/usr/bin/env bash
# Inside a GitHub job: writes the file $KUBECONFIG, with which the job is itself to a cluster. No key is stored: GitHub
# vouches for the job by a token that lives for minutes, and the API server was told to believe GitHub (docs/production.md).
#
#   CLUSTER_URL and CLUSTER_CA (PEM) name the cluster, CLUSTER_AUDIENCE whom the token is for.
set -euo pipefail

answer=$(curl --silent --show-error --fail --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
    "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$CLUSTER_AUDIENCE")
token=$(jq --exit-status --raw-output .value <<<"$answer")
[ -z "${GITHUB_ACTIONS:-}" ] || echo "::add-mask::$token"

umask 077
jq --null-input --arg server "$CLUSTER_URL" --arg ca "$(base64 --wrap 0 <<<"$CLUSTER_CA")" --arg token "$token" '{
    apiVersion: "v1", kind: "Config", "current-context": "target",
    clusters: [{name: "target", cluster: {server: $server, "certificate-authority-data": $ca}}],
    users: [{name: "job", user: {token: $token}}],
    contexts: [{name: "target", context: {cluster: "target", user: "job"}}]
}' >"$KUBECONFIG"
