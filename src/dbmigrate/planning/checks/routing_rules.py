"""DBM202 and DBM203: routing rules that name what is not there, or that nobody follows."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.apps import RoutingRule
from dbmigrate.models.database import DEFAULT_ALIAS
from dbmigrate.models.findings import Finding, Subject
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.nearest import nearest
from dbmigrate.planning.routing import Routing, has_router_error

ROUTER_CLASS = """\
write this class, for example as myproject/routers.py, and set DATABASE_ROUTERS = ["myproject.routers.RulesRouter"]:
from django.conf import settings

class RulesRouter:
    def db_for_read(self, model, **hints):
        return settings.{source}.get(model._meta.app_label)

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return db == settings.{source}.get(app_label, "default")"""


def find_broken_rules(snapshot: Snapshot, _routing: Routing) -> Iterator[Finding]:
    """Yield DBM202 for each rule with an alias (stops) or an app (warning) that does not exist."""
    aliases = [database.alias for database in snapshot.databases]
    labels = [app.label for app in snapshot.apps]
    for rule in snapshot.rules:
        if rule.alias not in aliases:
            yield Finding(
                id="DBM202",
                level="error",
                stops=True,
                message=f"{rule.source} puts app {rule.app} on database {rule.alias}, which is not in DATABASES",
                hint=nearest(rule.alias, aliases, what="databases"),
                apps=(rule.label or rule.app,),
                subject=_subject(rule),
            )
        if rule.label is None:
            yield Finding(
                id="DBM202",
                level="warning",
                stops=False,
                message=f"{rule.source} names app {rule.app}, which is not in INSTALLED_APPS",
                hint=nearest(rule.app, labels, what="apps"),
                apps=(rule.app,),
                subject=_subject(rule),
            )


def find_rules_not_followed(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield DBM203 for the rules that the routers do not follow, or once if there is no router to follow them."""
    if routing.by_rules:
        elsewhere = [rule for rule in snapshot.rules if rule.label is not None and rule.alias != DEFAULT_ALIAS]
        if not elsewhere:
            return  # everything is on default, rules or not
        source = elsewhere[0].source
        yield Finding(
            id="DBM203",
            level="warning",
            stops=False,
            message=(
                f"no router has an allow_migrate that follows {source}: dbmigrate follows the rules, Django does not"
                + ("" if snapshot.routers else ", and at run time the project reads and writes every app on default")
            ),
            hint=ROUTER_CLASS.format(source=source),
            apps=tuple(dict.fromkeys(rule.label for rule in elsewhere if rule.label is not None)),
            subject=_subject(elsewhere[0]),
        )
        return
    aliases = {database.alias for database in snapshot.databases}
    for rule in snapshot.rules:
        if rule.label is not None and rule.alias in aliases:
            yield from _compare(snapshot, routing, rule, rule.label)


def _compare(snapshot: Snapshot, routing: Routing, rule: RoutingRule, label: str) -> Iterator[Finding]:
    homes = routing.aliases_of(label)
    app = snapshot.app(label)
    if homes == (rule.alias,) or app is None or not app.has_migrations or has_router_error(snapshot, label):
        return
    yield Finding(
        id="DBM203",
        level="warning",
        stops=False,
        message=(
            f"{rule.source} puts app {label} on {rule.alias}, "
            f"but the routers put it on {', '.join(homes) or 'no database'}; the routers take precedence"
        ),
        hint=f"change the rule or the router so that both agree on {label}",
        aliases=(rule.alias,),
        apps=(label,),
        subject=_subject(rule),
    )


def _subject(rule: RoutingRule) -> Subject:
    return ("setting", rule.source, rule.app)
