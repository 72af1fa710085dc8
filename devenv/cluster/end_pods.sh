#!/bin/bash
# End the pods of a node as Kubernetes would, each container by the signal of its image and within its pod's grace period,
# and then the node. Runs in the node; its argument is the longest grace period in seconds. Prints what did not end in time.
#
# The kubelet cannot do it: its graceful node shutdown is told by logind, which a container's end does not pass through, and
# it would leave the pods failed, to be replaced by others. The node's systemd gives all processes SIGTERM, which has
# Postgres wait for its clients, and two seconds.
set -euo pipefail
longest_s=$1

# Whoever asked may be gone by now, and a node without its kubelet is of no use. A moment later: the answer goes first.
trap '{ sleep 0.3; kill -s RTMIN+3 1; } >/dev/null 2>&1 &' EXIT

main() {
	systemctl stop kubelet # it would start again what ends
	local id job failed=0
	tasks=$(ctr tasks list)
	for id in $(containers); do
		end "$id" &
	done
	for job in $(jobs -p); do
		wait "$job" || failed=1
	done
	return "$failed"
}

ctr() { command ctr --namespace k8s.io "$@"; }

# Those of Kubernetes itself end with the node: what they keep is safe in etcd's log at any moment.
containers() {
	ctr containers list --quiet \
		'labels."io.cri-containerd.kind"==container,labels."io.kubernetes.pod.namespace"!=kube-system'
}

end() {
	local pid signal grace_s name
	pid=$(awk -v id="$1" '$1 == id && $3 == "RUNNING" {print $2}' <<<"$tasks")
	[[ -n $pid ]] || return 0
	read -r signal grace_s name < <(facts "$1")
	((grace_s <= longest_s)) || grace_s=$longest_s
	ctr tasks kill --signal "$signal" "$1" || return 0 # it has ended by itself
	for ((i = 0; i < 10 * grace_s; i++)); do
		[[ -d /proc/$pid ]] || return 0
		sleep 0.1
	done
	printf '%s\n' "$name"
}

# Where an image names no signal it is SIGTERM; 30 s are Kubernetes' default.
facts() {
	ctr containers info "$1" | jq --raw-output '
		(.Extensions["io.cri-containerd.container.metadata"].value | @base64d | fromjson | .Metadata) as $seen
		| ($seen.StopSignal // "" | if . == "" then "SIGTERM" else . end)
			+ " " + ($seen.Config.annotations["io.kubernetes.pod.terminationGracePeriod"] // "30")
			+ " " + .Labels["io.kubernetes.pod.namespace"] + "/" + .Labels["io.kubernetes.pod.name"]
			+ "/" + .Labels["io.kubernetes.container.name"]'
}

main
