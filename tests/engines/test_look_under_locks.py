"""The look under the locks asks a database again only where its lock finds other records or tables than before."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from support.cli import dbmigrate
from support.projects import create, migration, model
from support.sites import ENGINES, Site

SECOND = migration(create("Late"), after=(("core", "0001_initial"),))

BETWEEN = """\
import os
import sqlite3
import sys

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created

looks = []


def act(execute):
    if os.path.exists("between.sql"):
        with open("between.sql") as file:
            statement = file.read()
        os.unlink("between.sql")
        execute(statement)


def note(connection, **_):
    looks.append(os.getpid())
    with open("connected.txt", "a") as file:
        file.write("connected\\n")
    if connection.vendor != "sqlite" and looks.count(os.getpid()) == 2:
        with connection.cursor() as cursor:
            act(cursor.execute)


def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".dbmigrate-lock") and looks:
        connection = sqlite3.connect(settings.DATABASES["default"]["NAME"], isolation_level=None)
        act(connection.execute)
        connection.close()


class Config(AppConfig):
    name = "core"

    def ready(self):
        connection_created.connect(note)
        sys.addaudithook(watch)
"""
"""It does what between.sql says as soon as this process begins to take a lock: on a server its second session."""

FAILS = """
def fail(apps, schema_editor):
    raise RuntimeError("no")


FAILS = migrations.RunPython(fail)
"""
RECORDED = "INSERT INTO django_migrations (app, name, applied) VALUES ('core', '0002_late', CURRENT_TIMESTAMP)"
CONNECTIONS = {"sqlite": 2, "postgresql": 3, "mariadb": 3}
"""Of a run that finds everything as it was: the first look, the lock of a server, and the step."""


def deployed(site: Callable[..., Site], engine: str) -> Site:
    """Write a project of which all is applied but one new migration."""
    here = site(engine)
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.project.write("core/apps.py", BETWEEN)
    here.project.write("core/models.py", model() + model("Late").replace("from django.db import models\n", ""))
    here.project.write("core/migrations/0002_late.py", SECOND)
    return here


def connections(here: Site) -> int:
    """Return how often any process has connected."""
    return len((here.project.root / "connected.txt").read_text().splitlines())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_database_that_is_as_it_was_is_not_asked_once_more(engine: str, site: Callable[..., Site]) -> None:
    here = deployed(site, engine)

    dbmigrate("all", cwd=here.project.root).expect(0)

    assert connections(here) == CONNECTIONS[engine]
    assert here.recorded()["core.0002_late"] == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_what_another_run_has_recorded_meanwhile_is_not_run_again(engine: str, site: Callable[..., Site]) -> None:
    here = deployed(site, engine)
    here.project.write(
        "core/migrations/0002_late.py", migration("FAILS", after=(("core", "0001_initial"),), head=FAILS)
    )
    here.project.write("between.sql", RECORDED)

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)

    assert here.recorded()["core.0002_late"] == 1
    assert "Applying" not in outcome.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_that_somebody_makes_meanwhile_stops_the_run(engine: str, site: Callable[..., Site]) -> None:
    here = deployed(site, engine)
    here.project.write("between.sql", "CREATE TABLE core_late (id integer)")

    refused = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(13)

    assert "core.0002_late is pending on default and creates what exists already: table core_late" in refused.stderr
    assert here.recorded()["core.0002_late"] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_database_on_which_a_step_has_failed_is_asked_itself_what_became_of_it(
    engine: str, site: Callable[..., Site]
) -> None:
    here = deployed(site, engine)
    here.project.write(
        "core/migrations/0002_late.py", migration("FAILS", after=(("core", "0001_initial"),), head=FAILS)
    )

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    assert connections(here) == CONNECTIONS[engine] + 2  # also for what the migration has left behind
    assert "core.0002_late" in outcome.stderr
    assert here.recorded()["core.0002_late"] == 0


@pytest.mark.postgresql
def test_what_a_lock_reads_on_its_way_around_a_pooler_says_nothing_of_what_steps_see(
    site: Callable[..., Site],
) -> None:
    here = deployed(site, "postgresql")
    host = quote(str(here.entry["HOST"]), safe="")
    url = f"postgresql://{here.entry['USER']}@{host}:{here.entry['PORT']}/{here.entry['NAME']}"

    dbmigrate("all", cwd=here.project.root, environment={"DBMIGRATE_LOCK_URL": f"default={url}"}).expect(0)

    assert connections(here) == CONNECTIONS["postgresql"] + 2
    assert here.recorded()["core.0002_late"] == 1


def test_records_whose_times_have_an_offset_are_read_with_those_that_have_none(site: Callable[..., Site]) -> None:
    here = site("sqlite")
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.query("UPDATE django_migrations SET applied = '2001-02-03 04:05:06+02:00' WHERE app = 'core'")

    status = json.loads(dbmigrate("status", "--format", "json", cwd=here.project.root).expect(0).stdout)

    assert status["result"]["databases"][0]["last_applied"]["id"] == "more.0001_initial"
