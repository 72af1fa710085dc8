#!/bin/bash
# Makes programs that the checks and tests call: ./scripts/tools.sh helm kubeconform
#
# Each is built once, from its Go module, into the cache folder, and linked into .venv/bin.
set -euo pipefail

declare -A MODULES=(
	[actionlint]=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	[ct]=github.com/helm/chart-testing/v3/ct@v3.14.0
	[gitleaks]=github.com/zricethezav/gitleaks/v8@v8.30.1
	[govulncheck]=golang.org/x/vuln/cmd/govulncheck@v1.9.0
	[helm]=helm.sh/helm/v4/cmd/helm@v4.2.1
	[kube-score]=github.com/zegl/kube-score/cmd/kube-score@v1.20.0
)

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/devenv
PATH=$cache/bin:$PATH

# build MODULE@VERSION FOLDER
build() { CGO_ENABLED=0 GOBIN=$2 nice go install -trimpath -ldflags '-s -w' "$1"; }

# In the module's folder, which has the rules beside the program. (`go install` would also ask for the list of all versions,
# which not every mirror has.)
build_ct() {
	local source
	source=$(go env GOMODCACHE)/${1/\/ct@/@} &&
		go mod download "${1/\/ct@/@}" &&
		mkdir -p "$2" &&
		cp -R --no-preserve=mode "$source/etc" "$2/" &&
		CGO_ENABLED=0 nice go build -C "$source" -trimpath -ldflags '-s -w' -o "$2/ct" ./ct
}

for name; do
	module=${MODULES[$name]:?there is no tool $name}
	folder=$cache/tools/${module##*/}
	if [[ ! -x $folder/$name ]]; then
		./scripts/setup.sh go
		echo "tools: building $module"
		if [[ $name == ct ]]; then build=build_ct; else build=build; fi
		"$build" "$module" "$folder" 2>"$cache/$name.log" || {
			cat "$cache/$name.log" >&2
			exit 2
		}
	fi
	ln -sf "$folder/$name" .venv/bin/
done
