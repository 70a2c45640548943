"""`dbmigrate check` on the sample project: what it prints, its exit codes, and what `all` does with what it finds."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Outcome, dbmigrate, looks
from support.projects import Project, migration, model, simple_app, write_project

DROPPING = migration('migrations.RemoveField("product", "price_cents")', after=(("shop", "0003_order_index"),))


def constrain_author(project: Project) -> None:
    """Take db_constraint=False from the author of a post, who lives on another database."""
    text = (project.root / "blog/models.py").read_text()
    assert "db_constraint=False" in text
    project.write("blog/models.py", text.replace(", db_constraint=False", ""))


def change(project: Project, alias: str, statement: str) -> None:
    with closing(sqlite3.connect(project.database(alias))) as connection:
        connection.execute(statement)
        connection.commit()


def drop_price(project: Project) -> None:
    """Let shop lose a column, in the models and in a migration that says so."""
    text = (project.root / "shop/models.py").read_text()
    lines = [line for line in text.splitlines() if "price" not in line]
    project.write("shop/models.py", "\n".join(lines) + "\n")
    project.write("shop/migrations/0004_price.py", DROPPING)


def test_the_sample_project_is_clean_before_and_after(sample: Project) -> None:
    before = sample.content()

    fresh, offline = looks({"check": 0, "check --offline": 0}, cwd=sample.root)
    unchanged = sample.content() == before
    dbmigrate("all", cwd=sample.root).expect(0)
    done = dbmigrate("check", "--pending", "--fail-on", "note", cwd=sample.root).expect(0)

    assert unchanged
    assert "3 databases checked: nothing found" in fresh.stdout
    not_run = "not run (needs a database, and --offline asks none): DBM103, DBM207, DBM210, DBM301, DBM302, DBM303"
    assert not_run in offline.stdout
    assert "no database was checked (--offline): nothing found" in offline.stdout
    assert "3 databases checked: nothing found" in done.stdout


def test_a_foreign_key_into_another_database_is_found_and_stops_all_before_anything_is_touched(
    sample: Project,
) -> None:
    constrain_author(sample)
    before = sample.content()

    found = dbmigrate("check", cwd=sample.root).expect(13)
    refused = dbmigrate("all", cwd=sample.root).expect(13)

    assert sample.content() == before
    assert "blog.post.author on blog_db is a foreign key to auth.user, which is on default" in found.stdout
    assert "(blog/models.py:19)" in found.stdout
    field = 'author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, related_name="+", '
    assert f"write: {field}db_constraint=False)\n         then:\n           dbmigrate make blog\n" in found.stdout
    assert "error: DBM201: blog.post.author" in refused.stderr
    assert "(nothing was changed)" in refused.stderr


def test_it_stops_no_run_of_another_app(sample: Project) -> None:
    constrain_author(sample)

    outcome = dbmigrate("run", "--app", "shop", cwd=sample.root).expect(0)

    assert "warning: DBM201" in outcome.stderr


@pytest.mark.soak
def test_make_warns_where_what_it_wrote_crosses_databases(sample: Project) -> None:
    constrain_author(sample)

    outcome = dbmigrate("make", "blog", cwd=sample.root).expect(0)

    assert "warning: DBM201: blog.post.author" in outcome.stdout
    assert "pending migration blog.0005_alter_post_author would create it" in outcome.stdout


def test_models_without_a_migration_alone_are_11(sample: Project) -> None:
    text = (sample.root / "shop/models.py").read_text()
    sample.write("shop/models.py", text.replace("max_length=200", "max_length=300"))

    outcome = dbmigrate("check", cwd=sample.root).expect(11)

    assert "error: DBM101: the models of shop changed" in outcome.stdout
    dbmigrate("check", "--ignore", "dbm101", cwd=sample.root).expect(0)


def test_a_missing_table_alone_is_12_and_status_names_it(migrated_sample: Project) -> None:
    change(migrated_sample, "shop_db", "DROP TABLE shop_order")

    found, status = looks({"check": 12, "status": 0}, cwd=migrated_sample.root)
    again = dbmigrate("all", cwd=migrated_sample.root).expect(12)

    assert "error: DBM301: shop.0002_orders is recorded on shop_db, but its table shop_order" in found.stdout
    assert "1 table missing" in status.stdout
    assert "warning: DBM301" in again.stderr
    assert "a run continues and then exits with 12, and dbmigrate check fails" in again.stderr
    assert "error: shop.order has no table on shop_db, and no pending migration creates it" in again.stderr


def test_a_database_ahead_of_the_code_is_12_and_all_goes_on(migrated_sample: Project) -> None:
    change(
        migrated_sample,
        "blog_db",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('blog', '0099_x', '2026-01-01')",
    )

    found = dbmigrate("check", cwd=migrated_sample.root).expect(12)

    assert "error: DBM302: recorded on blog_db: this code does not know blog.0099_x" in found.stdout
    dbmigrate("all", cwd=migrated_sample.root).expect(0)


def test_pending_migrations_are_10_where_they_are_asked_for(sample: Project) -> None:
    _, outcome = looks({"check": 0, "check --pending": 10}, cwd=sample.root)

    assert "error: blog_db: 6 migrations pending: contenttypes.0001_initial" in outcome.stdout
    assert "3 databases checked: migrations pending on 3 databases" in outcome.stdout


def test_what_a_pending_migration_destroys_is_a_note_in_the_plan_and_fails_where_it_is_asked_for(
    migrated_sample: Project,
) -> None:
    drop_price(migrated_sample)

    plan, quiet, failed = looks({"plan": 0, "check": 0, "check --fail-on destructive": 13}, cwd=migrated_sample.root)

    sentence = "DBM304: shop.0004_price on shop_db drops a column (shop_product"
    assert f"! {sentence}" in plan.stdout
    assert f"note: {sentence}" in quiet.stdout
    assert f"error: {sentence}" in failed.stdout
    assert "(shop/migrations/0004_price.py:" in failed.stdout
    assert failed.stdout.endswith("1 error\n")
    assert failed.stderr == "exit 13 (findings): checks found errors\n"


def test_what_is_selected_alone_counts(sample: Project) -> None:
    constrain_author(sample)

    outcome, _ = looks(
        {"check --select DBM201": 13, "check --select DBM102,DBM103 --select DBM301": 0}, cwd=sample.root
    )

    assert "DBM101" not in outcome.stdout


@pytest.mark.soak
def test_the_configuration_silences_a_warning_and_not_what_stops(sample: Project) -> None:
    sample.write("pyproject.toml", '[tool.dbmigrate]\nignore = ["DBM201", "DBM101"]\n')
    constrain_author(sample)

    dbmigrate("check", cwd=sample.root).expect(0)

    assert "error: DBM201" in dbmigrate("all", cwd=sample.root).expect(13).stderr


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--select", "DBM2O1"], "--select: there is no check DBM2O1", "did you mean DBM211 or DBM201 or DBM212?"),
        (["--ignore", "DBM999"], "--ignore: there is no check DBM999", "hint: "),
        (["--offline", "--pending"], "--pending cannot be combined with --offline", "remove one of the two"),
        (["--fail-on", "panic"], "'panic' is not one of", "dbmigrate check --help"),
    ],
)
def test_wrong_options_are_one_clear_error(sample: Project, arguments: list[str], message: str, hint: str) -> None:
    outcome = dbmigrate("check", *arguments, cwd=sample.root).expect(2)

    assert message in outcome.stderr
    assert hint in outcome.stderr


def test_a_database_that_is_down_is_reported_and_the_others_are_checked(sample: Project) -> None:
    settings = (sample.root / "myproj/settings.py").read_text()
    sample.write("myproj/settings.py", settings.replace("shop.sqlite3", "gone/shop.sqlite3"))

    outcome = dbmigrate("check", cwd=sample.root).expect(21)

    assert "error: database shop_db is unreachable: the folder" in outcome.stdout
    assert f'   hint: mkdir -p {sample.root}/gone\n         or fix DATABASES["shop_db"]\n' in outcome.stdout
    assert "2 databases checked: nothing found" in outcome.stdout


def test_one_model_is_explained_by_each_router(sample: Project) -> None:
    outcome, routes, wrong = looks(
        {"info --explain blog.Post": 0, "info --routes": 0, "info --explain blog.Pst": 2}, cwd=sample.root
    )

    assert "blog_db: it belongs here: the first answer that is not None counts" in outcome.stdout
    assert outcome.stdout.count("myproj.routers.RoutingRulesRouter: False") == 2
    assert routes.stdout.splitlines()[0].split() == ["app", "belongs", "on", "default", "blog_db", "shop_db"]
    assert "did you mean blog.post" in wrong.stderr


def test_an_error_that_does_not_stop_a_run_is_a_warning_there_and_says_so(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app(), "plain": {"models.py": model()}})
    message = (
        "DBM104: app plain has models but no migrations, so migrate creates no tables for it; missing: plain_item on "
    )
    runs_on = f"warning: {message}default; a run continues, but dbmigrate check fails (plain/models.py:4)"

    check, status, plan, github = (
        one.stdout for one in looks({"check": 13, "status": 0, "plan": 0, "plan --format github": 0}, cwd=project.root)
    )
    assert f"error: {message}default (plain/models.py:4)\n" in check
    assert f"warning: {message}default (plain/models.py:4)\n" in status
    assert f"{runs_on}\n" in plan
    assert "::warning " in github
    assert "::error" not in github
    assert f"{runs_on}\n" in dbmigrate("all", cwd=project.root).expect(0).stderr


@pytest.mark.parametrize("breaks", [False, True], ids=["with another encoding", "that is broken by now"])
def test_a_source_file_that_is_not_utf_8(tmp_path: Path, *, breaks: bool) -> None:
    models = "# coding: latin-1\n# caf\xe9\n" + model()
    if breaks:
        models += 'open(__file__, "wb").write(b"# coding: nothing\\n\\xff\\xfe")\n'
    project = write_project(tmp_path, {"plain": {"models.py": ""}})
    (tmp_path / "plain/models.py").write_bytes(models.encode("latin-1"))

    outcome = dbmigrate("check", cwd=project.root).expect(13)

    place = "(plain/models.py)" if breaks else "(plain/models.py:6)"
    assert f"missing: plain_item on default {place}\n" in outcome.stdout, outcome


@pytest.mark.soak
def test_the_hint_for_an_installed_app_is_no_change_to_its_files(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app()},
        aliases=("default", "blog_db"),
        rules={"vendor": "blog_db"},
        settings="""
        import sys
        sys.path.append(str(BASE / "site-packages"))
        INSTALLED_APPS += ["vendor", "bare"]
        """,
    )
    packages = write_project(tmp_path / "site-packages", {"vendor": simple_app(), "bare": {"models.py": model()}})
    dbmigrate("all", cwd=project.root).expect(0)
    owner = 'owner = models.ForeignKey("core.Item", models.CASCADE, null=True)'
    packages.write("vendor/models.py", model("Item", "name = models.CharField(max_length=20)", owner))
    packages.write(
        "vendor/migrations/0002_owner.py",
        migration(
            "migrations.RunPython(keep)",
            f'migrations.AddField("item", "owner", {owner[8:]})',
            after=(("vendor", "0001_initial"), ("core", "0001_initial")),
            head="def keep(apps, schema_editor):\n    pass\n",
            atomic=False,
        ),
    )

    found = dbmigrate("check", "--fail-on", "note", "--format", "json", cwd=project.root).expect(13)

    hints = {finding["id"]: finding["hint"] for finding in found.json["result"]["findings"]}
    assert {*hints} == {"DBM104", "DBM201", "DBM303", "DBM304"}, found
    for identifier in ("DBM303", "DBM304"):
        assert hints[identifier] == (
            "vendor is a third-party app: upgrade to a release that fixes this, "
            'or let MIGRATION_MODULES = {"vendor": "…"} name a copy of its migrations in the project; '
            f'to silence this: ignore = ["{identifier}"] under [tool.dbmigrate]'
        )
    assert "let the routers put vendor.item and core.item on one database" in hints["DBM201"]
    assert hints["DBM104"].startswith(
        "bare is a third-party app; for tables without migrations: dbmigrate all --run-syncdb; or "
    )

    packages.write("vendor/migrations/0002_other.py", migration(after=(("vendor", "0001_initial"),)))

    conflict = dbmigrate("check", "--select", "DBM102", cwd=project.root).expect(13)
    assert "hint: vendor is a third-party app: reinstall it" in conflict.stdout


def test_status_says_how_many_notes_there_are_and_shows_them_on_demand(migrated_sample: Project) -> None:
    drop_price(migrated_sample)
    note = "note: DBM304: shop.0004"

    lines = {"status": 0, "status -v": 0, "status --format github": 0, "check": 0}
    brief, shown, github, checked = (one.stdout for one in looks(lines, cwd=migrated_sample.root))

    assert note not in brief
    assert brief.splitlines()[-1] == "1 note, shown by dbmigrate check"
    assert note in shown
    assert "shown by dbmigrate check" not in shown
    assert "::notice" not in github
    assert note in checked


def test_one_database_is_checked_alone(migrated_sample: Project) -> None:
    drop_price(migrated_sample)
    change(migrated_sample, "blog_db", "DROP TABLE blog_post_tags")
    migrated_sample.append("myproj/settings.py", 'DATABASES["default"]["NAME"] = "/nowhere/default.sqlite3"')

    *checked, pending = looks(
        {
            "check --format json": 12,
            "check --database shop_db --format json": 0,
            "check --database shop_db --database blog_db --format json": 12,
            "check --database default --format json": 21,
            "check --database shop_db --pending": 10,
        },
        cwd=migrated_sample.root,
    )

    def ids(outcome: Outcome) -> list[str]:
        findings = outcome.json["result"]["findings"]
        return sorted(f"{finding['id']} {' '.join(finding['aliases'])}" for finding in findings)

    both, shop = ["DBM301 blog_db", "DBM304 shop_db"], ["DBM304 shop_db"]
    assert [ids(outcome) for outcome in checked] == [both, shop, both, []]
    assert "1 database checked" in pending.stdout
    assert "shop_db: 1 migration pending: shop.0004_price" in pending.stdout


@pytest.mark.parametrize("command", ["check", "verify"])
def test_a_database_to_look_at_that_is_not_there_or_has_nothing(tmp_path: Path, command: str) -> None:
    project = write_project(tmp_path, {"core": simple_app()}, aliases=("default", "blog_db"), rules={})

    lines = {f"{command} --database {name}": 2 for name in ("blog-db", "blog_db")}
    unknown, empty = (one.stderr for one in looks(lines, cwd=project.root))

    assert unknown == (
        "error: there is no database blog-db in DATABASES\nhint: did you mean blog_db?\n"
        "exit 2 (usage): the command could not be carried out as given\n"
    )
    assert "error: no app is routed to database blog_db, so it is not migrated" in empty


def test_a_database_that_is_open_stays_so_when_it_is_named(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()}, aliases=("default", "archive", "down"))
    project.append("site_settings.py", 'DATABASES["down"]["NAME"] = "/nowhere/down.sqlite3"')
    dbmigrate("run", "--database", "default", cwd=project.root).expect(0)

    every, archive, refused, down, nothing = looks(
        [
            "check --format json",
            "check --database archive --pending --format json",
            "verify --database archive",
            "check --database down",
            "verify --database down",
        ],
        cwd=project.root,
    )

    def found(outcome: Outcome) -> tuple[list[str], list[str]]:
        said = outcome.json["result"]
        return [f"{one['id']} {' '.join(one['aliases'])}" for one in said["findings"]], said["databases"]

    assert found(every) == (["DBM206 archive", "DBM206 down"], ["default"])
    assert found(archive) == (["DBM206 archive"], [])
    said = refused.expect(2).stderr.splitlines()[0]
    assert said == "error: no app is routed to database archive, so it is not migrated"
    assert "down is unreachable" in down.expect(21).stdout
    # No router says anything of it, so that nothing belongs there whatever its tables are.
    nothing.expect(2)


@pytest.mark.parametrize("command", ["check", "verify"])
def test_a_database_that_has_nothing_is_told_before_another_is_waited_for(tmp_path: Path, command: str) -> None:
    project = write_project(tmp_path, {"core": simple_app()}, aliases=("default", "blog_db"), rules={})
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))  # and does not listen
        number = port.getsockname()[1]
        project.append(
            "site_settings.py",
            f"""
            DATABASES["default"] = {{
                "ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": "{number}"
            }}
            """,
        )
        words = ("--database", "default", "--database", "blog_db", "--wait", "3600")
        refused = dbmigrate(command, *words, cwd=project.root).expect(2)

    assert "error: no app is routed to database blog_db, so it is not migrated" in refused.stderr
    assert "waiting" not in refused.stderr
