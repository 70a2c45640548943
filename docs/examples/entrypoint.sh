#!/bin/sh
# Migrate every database, then become the server: `ENTRYPOINT ["/entrypoint.sh"]`, `CMD ["gunicorn", "myproj.wsgi"]`.
# The server starts only if dbmigrate exits 0. Otherwise the container ends with dbmigrate's exit code, for example
# 30 or 31: a migration failed; 20: another run holds the lock; 21: a database is unreachable; 143: SIGTERM.

# A shell that is process 1 ignores SIGTERM unless it has a trap, and while it waits for a command in the foreground
# the trap does not run. So dbmigrate runs in the background; a signal ends `wait`, which is then repeated.
stopped=
trap 'stopped=yes; kill -TERM "$!" 2>/dev/null || :' TERM
dbmigrate all --skip-makemigrations --wait 30 --grace 5 &
code=0
while wait "$!" || code=$?; kill -0 "$!" 2>/dev/null; do
    code=0
done
[ "$code" -eq 0 ] || exit "$code"
[ -z "$stopped" ] || exit 143

trap - TERM
exec "$@"
