#!/bin/bash
# Start Postgres; the first time, make its data folder. Variables and arguments are those of the official image.
#
# The data is made in a folder of its own and moved into place when it is whole, PG_VERSION last. So a start that
# finds PG_VERSION finds a whole database, wherever an earlier one was killed.
set -euo pipefail

main() {
	[[ ${1:-} != -* ]] || set -- postgres "$@"
	if [[ ${1:-} == postgres ]] && ! only_asks "$@"; then
		mkdir -p "$PGDATA"
		as_postgres "$@"
		chmod 700 "$PGDATA" 2>/dev/null || true # not ours: Postgres says what it wants
		[[ -s $PGDATA/PG_VERSION ]] || first_start
		[[ -w /var/run/postgresql ]] || set -- "$@" -c unix_socket_directories= # a read-only root: TCP alone
	fi
	exec "$@"
}

fail() {
	printf '%s\n' "$@" >&2
	exit 1
}

only_asks() { [[ " $* " =~ \ (--help|-\?|--version|-V|--describe-config|-C)\  ]]; }

# Postgres refuses to be root.
as_postgres() {
	[[ $EUID == 0 ]] || return 0
	chown -R postgres:postgres "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
}

first_start() {
	new=$PGDATA/.new
	if [[ ! -e $new/.whole ]]; then
		rm -rf "$new"
		settings
		make_database
		initdb --sync-only --pgdata "$new" >/dev/null
		: >"$new/.whole"
	fi
	move_into_place
}

settings() {
	from_file POSTGRES_USER
	from_file POSTGRES_PASSWORD
	from_file POSTGRES_DB
	user=${POSTGRES_USER:-postgres}
	database=${POSTGRES_DB:-$user}
	method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
	[[ -n ${POSTGRES_PASSWORD:-} || $method == trust ]] ||
		fail "POSTGRES_PASSWORD is not set: the superuser $user needs a password at the first start." \
			"(POSTGRES_HOST_AUTH_METHOD=trust lets everybody in without one.)"
}

from_file() {
	local file=$1_FILE
	[[ -z ${!file:-} ]] || printf -v "$1" '%s' "$(<"${!file}")"
}

make_database() {
	local options=(--pgdata "$new" --username "$user" --no-sync --auth-local trust --auth-host "$method")
	[[ -z ${POSTGRES_PASSWORD:-} ]] || options+=(--pwfile /dev/stdin)
	# shellcheck disable=SC2086 # words, as in the official image
	named initdb "${options[@]}" ${POSTGRES_INITDB_ARGS:-} <<<"${POSTGRES_PASSWORD:-}"
	printf '\nhost all all all %s\n' "$method" >>"$new/pg_hba.conf"

	export PGHOST=$new PGUSER=$user PGPASSWORD=${POSTGRES_PASSWORD:-}
	pg_ctl --pgdata "$new" --wait --silent \
		--options "-c listen_addresses='' -c unix_socket_directories='$new' -c fsync=off" start
	if [[ $database != postgres ]]; then
		psql --quiet --no-psqlrc --dbname postgres --set ON_ERROR_STOP=1 --set database="$database" \
			<<<'CREATE DATABASE :"database"'
	fi
	PGDATABASE=$database run_scripts
	pg_ctl --pgdata "$new" --wait --silent --mode fast stop
	unset PGHOST PGUSER PGPASSWORD
}

# initdb wants to know the name of its user, who may be any number.
named() {
	if getent passwd "$EUID" >/dev/null; then
		"$@"
		return
	fi
	local known
	known=$(mktemp --directory --tmpdir="$PGDATA" .names.XXXXXX)
	printf 'postgres:x:%d:%d::/:/bin/false\n' "$EUID" "$(id -g)" >"$known/passwd"
	printf 'postgres:x:%d:\n' "$(id -g)" >"$known/group"
	LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=$known/passwd NSS_WRAPPER_GROUP=$known/group "$@"
	rm -rf "$known"
}

run_scripts() {
	export PGDATABASE
	local file
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
		*.sh) if [[ -x $file ]]; then "$file"; else bash -euo pipefail "$file"; fi ;;
		*.sql) psql --no-psqlrc --set ON_ERROR_STOP=1 --file "$file" ;;
		*.sql.gz) gunzip --stdout "$file" | psql --no-psqlrc --set ON_ERROR_STOP=1 ;;
		esac
	done
}

move_into_place() {
	local entry
	for entry in "$new"/*; do
		[[ ${entry##*/} == PG_VERSION ]] && continue
		[[ ! -e $PGDATA/${entry##*/} ]] || fail "$PGDATA is no database, yet it has ${entry##*/}; nothing was changed"
		mv "$entry" "$PGDATA/"
	done
	sync "$PGDATA"
	mv "$new/PG_VERSION" "$PGDATA/"
	rm -rf "$new" "$PGDATA"/.names.*
}

main "$@"
