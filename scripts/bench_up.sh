#!/usr/bin/env bash
# How long does a start take? A careful script and devenv in turn, with the same images and manifests: rounds, medians.
#   ./scripts/bench_up.sh [ROUNDS]      3 if not given; the images must be built (devenv images build)
# Its clusters, ports and files are its own; a stack that is up is left alone, and shares the cores with it.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

rounds=${1:-3}
work=$(mktemp --directory)
export DEVENV_NAME=bench-up XDG_STATE_HOME=$work/state XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
export DEVENV_PORT_API=19696 DEVENV_PORT_MEMORY=19595 DEVENV_PORT_REDIS=16379 DEVENV_PORT_POSTGRES=15543 DEVENV_PORT_HTTPS=19999
export CI=true # what is kept for the next cluster is kept here, when it is measured
namespace=somabrain-prod
kube=(kubectl --kubeconfig "$work/script.kubeconfig")
forward=""
names=() # that the stack's images have in the manifests

main() {
	trap clean EXIT
	[[ -f .env ]] || devenv plan >/dev/null
	devenv images list -o json >"$work/images"
	node=$(jq -r '.[] | select(.name == "devenv.node").ref' "$work/images")
	name_images
	devenv images prune 2>/dev/null
	for ((round = 1; round <= rounds; round++)); do
		measure "script" by_script
		undo_script
		measure "up, nothing kept" devenv up
		measure "up again" devenv up
		measure "status" devenv status
		measure "plan" devenv plan
		measure "--version" devenv --version
		measure "stop" devenv stop
		measure "start" devenv start
		measure "pause" devenv pause
		measure "resume" devenv resume
		devenv images preload 2>/dev/null
		measure "down" devenv down --yes
		measure "up, images kept" devenv up
		devenv down --yes 2>/dev/null
		devenv images prune 2>/dev/null
	done
	summary
}

measure() {
	local what=$1 begin=$EPOCHREALTIME
	shift
	"$@" >"$work/last" 2>&1 || {
		cat "$work/last" >&2
		exit 1
	}
	printf '%s\t%s\n' "$what" "$(bc <<<"$EPOCHREALTIME - $begin")" | tee --append "$work/times" >&2
}

# What a person would write who knows kind and kubectl: nothing is waited for twice, images go in one archive.
by_script() {
	kind create cluster --name bench-script --image "$node" --config devenv/cluster/node_images/kind.yaml \
		--kubeconfig "$work/script.kubeconfig" --quiet
	kind load docker-image --name bench-script "${names[@]}"
	./scripts/make_secrets.sh "$namespace" | "${kube[@]}" apply -f -
	"${kube[@]}" config set-context --current --namespace "$namespace"
	"${kube[@]}" apply -k k8s/overlays/dev
	"${kube[@]}" wait --for=condition=complete job/somabrain-migrate --timeout=180s
	"${kube[@]}" rollout status deployment/somabrain --timeout=180s
	"${kube[@]}" port-forward service/somabrain-test 29696:9696 &
	forward=$!
	curl --silent --fail --retry 60 --retry-delay 0 --retry-all-errors --output /dev/null http://127.0.0.1:29696/health
}

# Gives the stack's images the names that the manifests have for them, as whoever builds them would: `names`.
name_images() {
	local manifests name ref found
	manifests=$(kubectl kustomize k8s/overlays/dev | sed -n 's/^ *image: //p' | sort -u)
	names=()
	while read -r name ref; do
		found=$(sed -n "\\|[/-]$name:|p" <<<"$manifests")
		[[ -n $found ]] || continue # of the node, and not of the stack
		docker tag "$ref" "$found"
		names+=("$found")
	done < <(jq -r '.[] | "\(.name) \(.ref)"' "$work/images")
}

undo_script() {
	[[ -z $forward ]] || kill "$forward" 2>/dev/null || true
	forward=""
	kind delete cluster --name bench-script --quiet
}

summary() {
	printf '\n%-24s %8s %s\n' "seconds, medians" "" "all rounds"
	cut -f 1 "$work/times" | awk '!seen[$0]++' | while read -r what; do
		mapfile -t found < <(awk -F '\t' -v what="$what" '$1 == what {printf "%.2f\n", $2}' "$work/times" | sort -n)
		printf '%-24s %8s %s\n' "$what" "${found[$((${#found[@]} / 2))]}" "${found[*]}"
	done
}

clean() {
	undo_script >/dev/null 2>&1 || true
	devenv down --yes >/dev/null 2>&1 || true
	devenv images prune >/dev/null 2>&1 || true
	((${#names[@]} == 0)) || docker rmi "${names[@]}" >/dev/null 2>&1 || true
	rm -rf "$work"
}

main
