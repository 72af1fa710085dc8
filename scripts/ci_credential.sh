#!/usr/bin/env bash
# Inside a GitHub job: prints a token of the job for $CLUSTER_AUDIENCE, as a credential plugin of a kubeconfig does
# (kubernetes.io, "client-go credential plugins"). Clients call it again when the token ends, which is after minutes.
set -euo pipefail

# Quoted as curl's configuration wants it.
quoted() { local word=${1//\\/\\\\}; printf '"%s"' "${word//\"/\\\"}"; }

# By standard input, because other processes see arguments.
answer=$(
    curl --config - <<ASK
silent
show-error
fail
max-time = 7
retry = 2
retry-max-time = 20
get
url = $(quoted "$ACTIONS_ID_TOKEN_REQUEST_URL")
data-urlencode = $(quoted "audience=$CLUSTER_AUDIENCE")
header = $(quoted "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN")
ASK
)
jq --compact-output --null-input '
    # The second part of a token is its claims: base64 for addresses, without padding (RFC 7515).
    def claims: split(".")[1] | gsub("-"; "+") | gsub("_"; "/") | . + "==="[:(4 - length % 4) % 4] | @base64d | fromjson;
    input | .value | {
        apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential",
        status: {token: ., expirationTimestamp: (claims.exp | floor | todate)}
    }' <<<"$answer" 2>/dev/null || {
    echo "ci_credential: GitHub answered without a token that says when it ends" >&2
    exit 1
}
