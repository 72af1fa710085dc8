#!/usr/bin/env bash
# From a bare machine to a green learning suite.
set -euo pipefail
cd "$(dirname "$0")/.."

./scripts/setup.sh
.venv/bin/devenv up
.venv/bin/devenv test learning
