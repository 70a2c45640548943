#!/bin/sh
# Migrate every database, then become the server: `ENTRYPOINT ["/entrypoint.sh"]`, `CMD ["gunicorn", "myproj.wsgi"]`.
# The server starts only if dbmigrate exits 0. Otherwise the container ends with dbmigrate's exit code, for example
# 30 or 31: a migration failed; 20: another run holds the lock; 21: a database is unreachable; 143: SIGTERM.

# A shell that is process 1 ignores signals unless it has a trap, and while it waits for a command in the foreground the
# trap does not run. So dbmigrate runs in the background; a signal ends `wait`, which is then repeated. It has a session
# of its own (setsid), so that it hears ^C once, from here.
pid= stopped= sent=
pass_on() {
    stopped=$2
    [ -z "$pid" ] || { sent=yes; kill -s "$1" "$pid" 2>/dev/null || :; }
}
trap 'pass_on INT 130' INT
trap 'pass_on TERM 143' TERM
trap 'pass_on HUP 143' HUP
setsid dbmigrate all --skip-makemigrations --wait 30 --grace 5 &
pid=$!
[ -z "$stopped" ] || [ -n "$sent" ] || pass_on TERM "$stopped"
code=0
while wait "$pid" || code=$?; kill -0 "$pid" 2>/dev/null; do
    code=0
done
trap - INT TERM HUP
[ "$code" -eq 0 ] || exit "$code"
[ -z "$stopped" ] || exit "$stopped"

exec "$@"
