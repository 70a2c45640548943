#!/bin/sh
# Migrate every database, then become the server: `ENTRYPOINT ["/entrypoint.sh"]`, `CMD ["gunicorn", "myproj.wsgi"]`.
# The server does not start unless every database is where it should be; the exit code says why
# (30 and 31: a migration failed; 20: another run does not end; 21: a database does not answer; 13: a check stopped it).
set -e
dbmigrate all --settings "${DJANGO_SETTINGS_MODULE:?set DJANGO_SETTINGS_MODULE}" --skip-makemigrations --wait 30 --grace 5
exec "$@"
