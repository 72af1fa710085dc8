#!/usr/bin/env bash
# Prints the namespace and the stack's Secrets, made from .env, for `kubectl apply -f -`.
# `devenv up` does this by itself; this is for applying k8s/full-stack.yaml by hand.
# .env is read and never executed, and no value is an argument of a program, which others could see.
set -euo pipefail
cd "$(dirname "$0")/.."

namespace=${1:?usage: make_secrets.sh NAMESPACE | kubectl apply -f -}
if [ ! -f .env ]; then
    echo "no .env yet: run 'devenv up', or copy .env.example to .env and fill in the passwords" >&2
    exit 1
fi

jq --raw-input --null-input --arg namespace "$namespace" '
    # What devenv reads alike; any other line is refused, and not shown, for it may hold a password.
    def value:
        if test("^\u0027[^\u0027]*\u0027\\s*$") then capture("^\u0027(?<v>.*)\u0027").v
        elif test("^\"[^\"\\\\]*\"\\s*$") then capture("^\"(?<v>.*)\"").v
        elif test("^([^\\s\u0027\"#]\\S*)?\\s*$") then sub("\\s+$"; "")
        else empty end;
    def setting: capture("^\\s*(export\\s+)?(?<key>[A-Za-z_][A-Za-z0-9_]*)\\s*=\\s*(?<value>.*)$") | {key, value: .value | value};
    def settings: to_entries | map(select(.value | test("^\\s*(#.*)?$") | not)
        | ([.value | setting] | first) // error(".env: line \(.key + 1): write it as KEY=VALUE or KEY=\u0027VALUE\u0027"))
        | (group_by(.key) | map(select(length > 1)[0].key)) as $twice
        | if $twice == [] then from_entries else error(".env: \($twice[0]) is there twice") end;
    def secret($name; $values): {
        apiVersion: "v1", kind: "Secret", type: "Opaque", metadata: {$name, $namespace},
        data: ($values | map_values(@base64))
    };
    [inputs] | settings as $file
    | def env($key): $file[$key] // error(".env: \($key) is missing");
    {POSTGRES_USER: env("POSTGRES_USER"), POSTGRES_PASSWORD: env("POSTGRES_PASSWORD"), POSTGRES_DB: env("POSTGRES_DB")}
    | . as $postgres
    | def dsn($user; $password): @uri "postgresql://\($user):\($password)@postgres.\($namespace).svc.cluster.local:5432/\(.POSTGRES_DB)";
    dsn(.POSTGRES_USER; .POSTGRES_PASSWORD) as $dsn
    # An .env of before has no password for the role of the API, which then has that of the owner.
    | (if $file.SOMABRAIN_APP_PASSWORD then dsn("somabrain_app"; $file.SOMABRAIN_APP_PASSWORD) else null end) as $app
    | {apiVersion: "v1", kind: "List", items: [
        {
            apiVersion: "v1", kind: "Namespace",
            metadata: {name: $namespace, labels: {"pod-security.kubernetes.io/enforce": "restricted"}}
        },
        secret("somabrain-postgres"; $postgres),
        secret("somabrain-secrets"; {SOMABRAIN_POSTGRES_DSN: $dsn, SOMABRAIN_API_TOKEN: env("SOMABRAIN_API_TOKEN")}),
        (if $app then secret("somabrain-app"; {SOMABRAIN_POSTGRES_DSN: $app}) else empty end),
        # Nor a token of the admin, without which no tenant is deleted.
        ($file.SOMABRAIN_ADMIN_TOKEN // "" | select(. != "") | secret("somabrain-admin"; {SOMABRAIN_ADMIN_TOKEN: .}))
    ]}
' <.env
