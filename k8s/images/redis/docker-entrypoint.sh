#!/bin/sh
# Arguments as in the official image: options alone are for redis-server.
set -eu

case ${1:-} in
-* | *.conf) set -- redis-server "$@" ;;
esac

# In a container every client comes from elsewhere. A later option wins, so the caller's own word goes last.
if [ "${1:-}" = redis-server ]; then
	shift
	umask 0077
	case ${1:-} in
	*.conf)
		config=$1
		shift
		exec redis-server "$config" --protected-mode no "$@"
		;;
	*) exec redis-server --protected-mode no "$@" ;;
	esac
fi
exec "$@"
