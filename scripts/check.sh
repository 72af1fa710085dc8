#!/usr/bin/env bash
# What comes before a commit: style, types, shell scripts, the lock.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

ruff check .
ruff format --check .
mypy
lint-imports --no-cache
# Whatever starts as a shell script is one, whatever its name.
mapfile -t scripts < <(git grep --files-with-matches --extended-regexp '^#!/(usr/)?bin/(env )?(ba)?sh')
shellcheck "${scripts[@]}"
