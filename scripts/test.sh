#!/usr/bin/env bash
# All tests, those on a real cluster included. Arguments go to pytest: ./scripts/test.sh -k forward
set -euo pipefail
cd "$(dirname "$0")/.."

# What the tests call as a person would, each command with its Debian package.
needed=(psql:postgresql-client redis-cli:redis-tools jq:jq curl:curl openssl:openssl docker-registry:docker-registry)

install_missing() {
    local wanted=() pair
    for pair in "${needed[@]}"; do
        command -v "${pair%%:*}" >/dev/null || wanted+=("${pair##*:}")
    done
    [ ${#wanted[@]} -eq 0 ] && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "the tests need: ${wanted[*]}; install them and run again" >&2
        exit 2
    fi
    echo "installing for the tests: ${wanted[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

./scripts/setup.sh
install_missing
./scripts/tools.sh helm
# The suites that need the stack run inside scenarios, by `devenv test learning` and `devenv test service` against the
# scenario's own cluster.
exec .venv/bin/pytest tests --ignore tests/test_cognition_learning.py --ignore tests/service/live "$@"
