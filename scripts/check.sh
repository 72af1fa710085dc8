#!/usr/bin/env bash
# What comes before a commit: style, types, shell scripts, the lock.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

ruff check .
ruff format --check .
mypy
mapfile -t scripts < <(git ls-files 'scripts/*.sh' '*/prepare' '.ci/run')
shellcheck "${scripts[@]}"
