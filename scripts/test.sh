#!/usr/bin/env bash
# All tests, in lanes, of which one runs for each core; each writes its log, JUnit report and scenarios' logs to build/.
#   ./scripts/test.sh                     everything
#   ./scripts/test.sh --no-three-nodes    all but what needs a cluster of three nodes
#   ./scripts/test.sh --quick             what needs no Docker, in a minute
#   ./scripts/test.sh --lane gentle       one lane: unit, service, host, gentle, disturbed or nodes
#   ./scripts/test.sh -k forward          arguments of pytest, in one process: ./scripts/test.sh tests/cluster/disturbed
set -euo pipefail
cd "$(dirname "$0")/.."

# What the tests call as a person would, each command with its Debian package.
needed=(psql:postgresql-client redis-cli:redis-tools jq:jq curl:curl openssl:openssl docker-registry:docker-registry pgbouncer:pgbouncer)
# The suites that need the stack run inside scenarios, by `devenv test` against the scenario's own cluster.
alone=(--ignore tests/test_cognition_learning.py --ignore tests/service/live)
# A plugin of theirs that takes two seconds to load.
alone+=(-p no:schemathesis)
declare -A lanes=(
	# These wait more than they work: more than one at a time on each core.
	[unit]="tests --ignore tests/service --ignore tests/host --ignore tests/cluster --numprocesses 4 --dist worksteal
		--cov=devenv --cov-report=term:skip-covered"
	[service]="tests/service --numprocesses 2 --dist worksteal"
	[host]="tests/host"
	[gentle]="tests/cluster/gentle"
	[disturbed]="tests/cluster/disturbed"
	[nodes]="tests/cluster/nodes"
)
# These let the lanes that watch the clock go first where cores are short; so do their clusters (tests/cluster/environment.py).
yielding=" gentle host "
# Three nodes are more than so few cores bear beside other clusters: their clients would be refused for want of time.
alone_below_cores=4 needs_all=" nodes "
# Hundreds of starts of the command line would each compile it anew.
unset PYTHONDONTWRITEBYTECODE
declare -A running=() # the lanes that run, by their process
failed=()
at_once=$(nproc)

# No command of it stands in a list of && or ||: `set -e` would pass over a preparation that fails, and a run without tests
# would end well.
main() {
	case ${1:-} in
	"")
		prepare
		images
		side_by_side unit service disturbed gentle host nodes
		;;
	--no-three-nodes)
		prepare
		images
		side_by_side unit service disturbed gentle host
		;;
	--quick)
		programs
		side_by_side unit service
		;;
	--lane)
		one "${2:-}"
		;;
	*)
		prepare
		exec .venv/bin/pytest tests "${alone[@]}" "$@"
		;;
	esac
	if ((${#failed[@]})); then
		echo "failed: ${failed[*]}; the logs of each scenario are in build/logs" >&2
		exit 1
	fi
}

one() {
	if [[ -z $1 || -z ${lanes[$1]:-} ]]; then
		echo "no lane '$1'; there are: ${!lanes[*]}" >&2
		exit 2
	fi
	case $1 in
	unit | service) programs ;;
	*)
		prepare
		images
		;;
	esac
	side_by_side "$1"
}

# What the lanes without Docker need.
programs() {
	./scripts/setup.sh programs
	./scripts/tools.sh helm
}

prepare() {
	./scripts/setup.sh
	install_missing
	./scripts/tools.sh helm
	.venv/bin/python -m tests.fitness
}

install_missing() {
	local wanted=() pair
	for pair in "${needed[@]}"; do
		PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || wanted+=("${pair##*:}")
	done
	((${#wanted[@]})) || return 0
	if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
		echo "the tests need: ${wanted[*]}; install them and run again" >&2
		exit 2
	fi
	echo "installing for the tests: ${wanted[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

# The images of the stack first: lanes that begin at once would each build them. What only one scenario needs is built
# behind its back.
images() {
	mkdir -p build
	export XDG_STATE_HOME=$PWD/build/state
	DEVENV_NAME=test-images .venv/bin/devenv images build
	nice -n 19 .venv/bin/devenv images build -f tests/projects/pebble/pyproject.toml pebble devenv.cert-manager >build/images.log 2>&1 &
	unset XDG_STATE_HOME
}

# side_by_side LANE…, the quick ones first, which use all cores; then the longest; what needs all cores last. More of them
# at once than there are cores take as long, and starve each other.
side_by_side() {
	local lane limit
	mkdir -p build
	trap interrupted INT TERM
	[[ -z ${CI:-} ]] || let_clusters_go_first
	for lane; do
		limit=$at_once
		[[ $needs_all != *" $lane "* ]] || ((at_once >= alone_below_cores)) || limit=1
		while ((${#running[@]} >= limit)); do
			one_ends
		done
		# Each in a process group of its own, which is ended as a whole: a job in the background does not hear an interrupt.
		set -m
		tests "$lane" &
		set +m
		running[$!]=$lane
	done
	while ((${#running[@]})); do
		one_ends
	done
}

# All that a session starts counts as one for the kernel, and all containers together as one more. In CI alone, because a
# person's terminal would stay so. What the kernel refuses makes the run slower, not wrong.
let_clusters_go_first() {
	{ echo 10 >/proc/self/autogroup; } 2>/dev/null || echo "the tests and their clusters share the cores alike" >&2
}

one_ends() {
	local pid="" code=0
	wait -n -p pid "${!running[@]}" || code=$?
	((code)) && failed+=("${running[$pid]}")
	report "${running[$pid]}"
	unset "running[$pid]"
}

tests() {
	trap 'exit 130' TERM # once pytest has ended
	[[ $yielding != *" $1 "* ]] || renice -n 10 -p "$BASHPID" >/dev/null
	# shellcheck disable=SC2086  # a lane's arguments are words
	DEVENV_TEST_LANE=$1 COVERAGE_FILE=build/coverage .venv/bin/pytest ${lanes[$1]} "${alone[@]}" \
		--verbose --junit-xml="build/junit-$1.xml" --durations=15 >"build/$1.log" 2>&1 && return
	echo "failed: pytest exited with $?" >>"build/$1.log"
	return 1
}

# Let each lane take down what it has brought up.
interrupted() {
	trap '' INT TERM
	echo "interrupted; taking the clusters down" >&2
	local group
	for group in "${!running[@]}"; do
		kill -TERM -- "-$group" 2>/dev/null || true
	done
	wait
	exit 130
}

# One that passed in a few lines; one that failed whole, for it may be all that is left of another machine.
report() {
	local log=build/$1.log
	echo "== $1: $log"
	if grep -q '^failed: pytest' "$log"; then
		cat "$log"
	else
		grep -E '^(TOTAL|Using --randomly-seed)' "$log" || true
		tail -n 1 "$log"
	fi
}

# A runner's own session may be the machine's first, which the kernel weighs by its processes, each as much as all containers
# together: a cluster would starve. Not the leader of its group, `setsid` becomes the script and hears the same signals.
if [[ -n ${CI:-} && -z ${DEVENV_TEST_SESSION:-} ]]; then
	DEVENV_TEST_SESSION=1 exec setsid --wait "$0" "$@"
fi
main "$@"
