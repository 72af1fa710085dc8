#!/usr/bin/env bash
# Prints an environment's objects, for `kubectl apply -f -`:
#
#   ./scripts/render.sh dev
#   ./scripts/render.sh staging REGISTRY/somabrain@sha256:… REGISTRY/redis@sha256:… REGISTRY/opa@sha256:… …
#
# Every image of staging and production is given by its digest; the last word of its name says which one it is. What is
# missing, has a bad digest or stands for nothing is refused, with nothing printed to the standard output.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
NOT_GIVEN=image-not-given.invalid
REFERENCE='^[a-z0-9][-a-z0-9._:/]*/[a-z0-9][-a-z0-9._]*(:[A-Za-z0-9_][-A-Za-z0-9_.]*)?@sha256:[0-9a-f]{64}$'

main() {
    local environment=${1:-}
    [[ -n $environment ]] || refuse "usage: render.sh ENVIRONMENT [IMAGE@DIGEST…]; there are: $(environments)"
    [[ " $(environments) " == *" $environment "* ]] || refuse "no environment $environment; there are: $(environments)"
    shift
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    given "$environment" "$@" >"$work/kustomization.yaml"
    kubectl kustomize --load-restrictor LoadRestrictionsNone "$work" >"$work/objects"
    complete "$work/objects" "$@"
    cat "$work/objects"
}

refuse() {
    printf 'render: %s\n' "$*" >&2
    exit 2
}

environments() { (cd "$root/k8s/overlays" && printf '%s\n' * | paste -sd' '); }

# given ENVIRONMENT REFERENCE…: the overlay with these images, as a kustomization.
given() {
    local up
    up=$(realpath --relative-to "$work" "$root/k8s")
    printf 'resources: ["%s"]\nconfigurations: ["%s"]\nimages:\n' \
        "$up/overlays/$1" "$up/components/operator-postgres/images.yaml"
    shift
    local reference name
    for reference in "$@"; do
        [[ $reference =~ $REFERENCE ]] ||
            refuse "$reference: an image is given as NAME@sha256:DIGEST, with 64 hexadecimal digits"
        name=$(name_of "$reference")
        printf '  - {name: %s, newName: %s, digest: "%s"}\n' \
            "$NOT_GIVEN/${name##*/}" "$name" "${reference##*@}"
    done
}

# name_of REFERENCE: without tag and digest; a colon before the last slash belongs to the registry's port.
name_of() {
    local name=${1%@*}
    [[ ${name##*/} != *:* ]] || name=${name%:*}
    printf '%s' "$name"
}

# complete OBJECTS REFERENCE…: nothing is left to give, and nothing was given in vain.
complete() {
    local objects=$1 missing reference
    shift
    missing=$({ grep -o "$NOT_GIVEN/[^:@ ]*" "$objects" || true; } | sed 's|.*/||' | sort -u | paste -sd' ')
    [[ -z $missing ]] || refuse "no image given for: $missing"
    for reference in "$@"; do
        grep -Eq "image(Name)?: $(name_of "$reference")@${reference##*@}\$" "$objects" ||
            refuse "$reference: no container here runs $(basename "$(name_of "$reference")")"
    done
}

main "$@"
