#!/bin/sh
# Start Postgres; the first time, make its data.
set -eu

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	(umask 077 && printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password)
	initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256
	rm /tmp/password
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	pg_ctl --wait --options "-c listen_addresses='' -c unix_socket_directories=/tmp" start
	createdb --host /tmp --username "$POSTGRES_USER" "$POSTGRES_DB"
	pg_ctl --wait --mode fast stop
fi
exec postgres -c "listen_addresses=*" -c unix_socket_directories=/tmp
