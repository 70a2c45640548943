"""`plan -o`, `apply` and `--expect`: what runs is what was approved, or nothing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.background import read_until, start
from support.cli import Outcome, dbmigrate
from support.environments import environment
from support.in_process import InProcess
from support.projects import Project, applied, migration, model, simple_app, write_project

from dbmigrate import __version__
from dbmigrate.cli.saved_document import read_document
from dbmigrate.models.basis import SavedPlan
from dbmigrate.models.known_keys import known_part
from dbmigrate.models.reports import Envelope

DOCS = Path(__file__).parents[2] / "docs"

SAVE = ("plan", "--skip-makemigrations", "-o", "plan.json")

ADD_NOTE = 'migrations.AddField("item", "note", models.CharField(max_length=20, default=""))'

FILL = """\
from {label} import texts

def fill(apps, schema_editor):
    Item = apps.get_model("{label}", "Item")
    Item.objects.using(schema_editor.connection.alias).update(note=texts.note())
"""


def _app(label: str) -> dict[str, str]:
    """Return an app with a table and, after it, a new column, an index and a step that fills the column."""
    files = simple_app()
    files["models.py"] += '    note = models.CharField(max_length=20, default="")\n'
    files["texts.py"] = 'def note():\n    return "new"\n'
    files["migrations/0002_note.py"] = migration(ADD_NOTE, after=((label, "0001_initial"),))
    files["migrations/0003_fill.py"] = migration(
        "migrations.RunPython(fill)", head=FILL.format(label=label), after=((label, "0002_note"),)
    )
    return files


@pytest.fixture(scope="module")
def _begun(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with two databases, each with one migration applied and two pending, and a saved plan."""
    project = write_project(
        tmp_path_factory.mktemp("begun") / "site",
        {"core": _app("core"), "shop": _app("shop")},
        aliases=("default", "shop_db"),
        rules={"shop": "shop_db"},
    )
    for label in ("core", "shop"):
        dbmigrate("run", "--app", label, "--to", "0001", cwd=project.root).expect(0)
    dbmigrate(*SAVE, cwd=project.root).expect(0)
    return project


@pytest.fixture
def begun(_begun: Project, tmp_path: Path) -> Project:
    """Return a copy of that project."""
    return _begun.copy_to(tmp_path / "site")


def read(project: Project) -> dict[str, Any]:
    """Return the saved document."""
    document: dict[str, Any] = json.loads((project.root / "plan.json").read_text())
    return document


def write(project: Project, sql: str, alias: str = "default") -> None:
    """Change a database by hand."""
    with closing(sqlite3.connect(project.database(alias), isolation_level=None)) as connection:
        connection.executescript(sql)


def apply(project: Project, *options: str) -> Outcome:
    """Apply the saved plan."""
    return dbmigrate("apply", "plan.json", *options, cwd=project.root)


def differences(outcome: Outcome) -> list[str]:
    """Return what differs, as it was said after the heading of the error."""
    lines = outcome.stderr.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("error: the plan is not the one"))
    end = next(number for number, line in enumerate(lines) if line.startswith("hint: "))
    return [line.strip() for line in lines[begin + 1 : end]]


def refused(project: Project, *options: str) -> list[str]:
    """Apply the saved plan, which must not touch anything, and return what differs."""
    before = {file: file.read_bytes() for file in project.root.glob("*.sqlite3")}
    outcome = apply(project, *options).expect(32)
    assert {file: file.read_bytes() for file in project.root.glob("*.sqlite3")} == before
    return differences(outcome)


def test_a_saved_plan_is_applied_once(begun: Project) -> None:
    first = dbmigrate("apply", "plan.json", "--jobs", "1", "--format", "json", cwd=begun.root).expect(0).json
    second = apply(begun).expect(0)

    assert first["command"] == "apply"
    assert first["result"]["run"]["approved_by"] == "plan"
    assert applied(begun.database("default"))[:3] == ["core.0001_initial", "core.0002_note", "core.0003_fill"]
    assert applied(begun.database("shop_db")) == ["shop.0001_initial", "shop.0002_note", "shop.0003_fill"]
    assert second.stdout.endswith("The saved plan is already applied: nothing to do\n")


def test_a_plan_is_already_applied_only_by_the_same_code(begun: Project) -> None:
    apply(begun).expect(0)
    begun.append("core/migrations/0002_note.py", "# another one")

    assert refused(begun)[0] == "code: core.0002_note was edited since"


def test_a_plan_is_already_applied_only_on_its_own_databases(begun: Project) -> None:
    apply(begun).expect(0)
    shutil.copyfile(begun.database("default"), begun.root / "tenant.sqlite3")
    settings = begun.root / "site_settings.py"
    settings.write_text(settings.read_text().replace(begun.database("default").name, "tenant.sqlite3"))

    assert refused(begun)[0] == "database: default is another database than the one that the plan was made for"
    assert "already applied" in apply(begun, "--any-database").expect(0).stdout


def test_the_digest_is_the_same_on_another_machine_and_in_every_run(begun: Project, tmp_path: Path) -> None:
    other = begun.copy_to(tmp_path / "elsewhere" / "checkout")
    again = dbmigrate("plan", cwd=other.root).expect(0)

    assert again.stdout.splitlines()[-1] == f"Digest: {read(begun)['result']['plan']['digest'][:12]}"


@pytest.mark.parametrize("python", [pytest.param("django52", marks=pytest.mark.soak), "django42"])
def test_the_digest_is_the_same_in_another_python(begun: Project, python: str) -> None:
    saved = read(begun)["result"]["plan"]
    dbmigrate(*SAVE, "--python", environment(python), cwd=begun.root).expect(0)
    other = read(begun)["result"]["plan"]

    assert other["digest"] == saved["digest"]
    assert other["basis"]["statements"] == saved["basis"]["statements"]
    assert other["basis"]["versions"]["python"] != saved["basis"]["versions"]["python"]


@pytest.mark.parametrize("django", ["django32", pytest.param("newest", marks=pytest.mark.soak)])
def test_a_plan_of_another_django_that_runs_the_same_is_applied(begun: Project, django: str) -> None:
    dbmigrate(*SAVE, "--python", environment(django), cwd=begun.root).expect(0)

    apply(begun).expect(0)


def test_each_cause_is_named_first_and_nothing_is_touched(begun: Project) -> None:
    begun.append("core/migrations/0002_note.py", "# looks harmless, and nobody has read it")
    begun.append("shop/texts.py", "x = 1")
    (begun.root / "shop" / "migrations" / "0003_fill.py").unlink()
    begun.write("shop/migrations/0003_other.py", migration(after=(("shop", "0002_note"),)))

    assert refused(begun) == [
        "code: core.0002_note was edited since",
        "code: shop.0003_fill has no file any more",
        "code: shop.0003_other is pending on default, shop_db and is not in the plan",
    ]


def test_what_a_data_migration_calls_counts(begun: Project) -> None:
    begun.append("shop/texts.py", "x = 1")

    assert refused(begun) == ["code: shop.texts, which shop.0003_fill calls, was edited since"]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("", "    from core.services.deep import fill\n    fill()"),
        ("", "    from .. import services\n    from ..services import deep\n    deep.fill()"),
        ("import core.services.deep", "    core.services.deep.fill()"),
        ("from core.services import deep", "    (lambda: deep.fill())()"),
        ("from core.services.deep import Filler", "    Filler().run()"),
    ],
)
def test_a_helper_counts_however_it_is_reached(begun: Project, head: str, body: str) -> None:
    begun.write("core/services/__init__.py", "")
    deep = "def fill():\n    pass\n\nclass Filler:\n    def run(self):\n        pass\n"
    begun.write("core/services/deep.py", deep)
    function = f"{head}\n\ndef work(apps, schema_editor):\n{body}\n"
    begun.write(
        "core/migrations/0004_work.py",
        migration("migrations.RunPython(work)", head=function, after=(("core", "0003_fill"),)),
    )
    dbmigrate(*SAVE, cwd=begun.root).expect(0)
    begun.append("core/services/deep.py", "x = 1")

    assert refused(begun) == ["code: core.services.deep, which core.0004_work calls, was edited since"]


def test_an_approver_reads_which_migration_calls_more_code_than_is_followed(begun: Project) -> None:
    assert "warning" not in dbmigrate(*SAVE, cwd=begun.root).expect(0).stdout
    chain = "".join(f"def step{number}():\n    step{number + 1}()\n\n" for number in range(51))
    begun.write("core/chain.py", f"{chain}def step51():\n    pass\n")
    begun.write("core/parts/__init__.py", "".join(f"from . import part{number}\n" for number in range(201)))
    for number in range(201):
        begun.write(f"core/parts/part{number}.py", "")
    heads = ("from core.chain import step0 as work\n", "def work(apps, editor):\n    import core.parts\n")
    for number, after, head in ((4, "0003_fill", heads[0]), (5, "0004", heads[1])):
        text = migration("migrations.RunPython(work)", head=head, after=(("core", after),))
        begun.write(f"core/migrations/{number:04}.py", text)

    shown = dbmigrate(*SAVE, cwd=begun.root).expect(0).stdout

    assert (
        "warning: core.0004, core.0005 call too many functions or modules of the project, and the digest does not "
        "cover all of them: an edit of the rest does not make this plan stale\nDigest: "
    ) in shown
    code = read(begun)["result"]["plan"]["basis"]["code"]
    assert [one for one in code if code[one]["has_more"]] == ["core.0004", "core.0005"]


def test_a_digest_covers_sql_that_is_read_from_a_file(begun: Project) -> None:
    head = "from pathlib import Path"
    operation = 'migrations.RunSQL(Path("work.sql").read_text())'
    begun.write("core/migrations/0004_sql.py", migration(operation, head=head, after=(("core", "0003_fill"),)))
    begun.write("work.sql", "SELECT 1")
    dbmigrate(*SAVE, cwd=begun.root).expect(0)
    digest = read(begun)["result"]["plan"]["digest"]
    plan = dbmigrate("plan", cwd=begun.root).expect(0)
    begun.write("work.sql", "SELECT 2")

    assert plan.stdout.splitlines()[-1] == f"Digest: {digest[:12]}"
    stale = dbmigrate("all", "--skip-makemigrations", "--expect", digest, cwd=begun.root).expect(32)
    assert "dbmigrate plan --skip-makemigrations\n" in stale.stderr
    begun.write("work.sql", "SELECT 1")
    dbmigrate("all", "--skip-makemigrations", "--expect", digest, cwd=begun.root).expect(0)


def test_what_was_loaded_before_the_locks_counts(begun: Project) -> None:
    file = begun.root / "shop/migrations/0003_fill.py"
    approved = file.read_text()
    file.write_text(approved.replace("note=texts.note()", "note=texts.note() * 2"))
    with Path(f"{begun.database('shop_db')}.dbmigrate-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(begun, "apply", "plan.json")
        said = read_until(process, "Waiting for the lock of database: shop_db")
        file.write_text(approved)
    said += process.communicate(timeout=60)[0]

    assert process.returncode == 32, said
    assert "code: shop.0003_fill was edited since" in said
    assert applied(begun.database("shop_db")) == ["shop.0001_initial"]


def test_a_file_without_which_nothing_can_be_loaded_is_named(begun: Project) -> None:
    (begun.root / "core" / "migrations" / "0002_note.py").unlink()

    assert refused(begun) == ["code: core.0002_note has no file any more"]


def test_a_migration_that_does_not_compile_any_more_is_named(begun: Project) -> None:
    begun.append("core/migrations/0002_note.py", "def (:")

    assert refused(begun) == ["code: core.0002_note was edited since"]


def test_an_applied_migration_counts_but_for_its_comments(begun: Project, tmp_path: Path) -> None:
    edited = begun.copy_to(tmp_path / "edited")
    begun.append("core/migrations/0001_initial.py", "# a comment\n\n   # and another one")
    edited.append("core/migrations/0001_initial.py", "x = 1")

    assert refused(edited) == ["code: core.0001_initial was edited since"]
    apply(begun).expect(0)


def test_what_another_run_applied_or_took_back_is_named(begun: Project, tmp_path: Path) -> None:
    fewer, stranger = (begun.copy_to(tmp_path / name) for name in ("fewer", "stranger"))
    sql = "INSERT INTO django_migrations (app, name, applied) VALUES ('{}', '{}', '2026-03-04 14:02:00')"
    write(begun, sql.format("shop", "0002_note"), "shop_db")
    write(fewer, "DELETE FROM django_migrations WHERE app = 'core'")
    write(stranger, sql.format("gone", "0001_initial"))

    assert refused(begun) == [
        "applied: shop_db: shop.0002_note was applied at 2026-03-04T14:02:00+00:00, after the plan was made"
    ]
    assert refused(fewer) == ["applied: default: core.0001_initial is not recorded any more"]
    assert refused(stranger) == ["applied: default: gone.0001_initial was applied, after the plan was made"]


def test_a_table_of_the_plan_that_was_altered_by_hand_is_named(begun: Project, tmp_path: Path) -> None:
    indexed = begun.copy_to(tmp_path / "indexed")
    write(begun, "ALTER TABLE core_item ADD COLUMN x integer; CREATE TABLE elsewhere (id integer)")
    write(indexed, "CREATE INDEX by_hand ON shop_item (name)", "shop_db")

    assert refused(begun) == ["catalogue: default: table core_item got the column x"]
    assert refused(indexed) == ["catalogue: shop_db: table shop_item got the index or constraint by_hand"]


def test_routers_that_answer_differently_are_named(begun: Project) -> None:
    begun.write(
        "routers.py", "class Router:\n    def allow_migrate(self, db, app_label, **hints):\n        return True\n"
    )

    assert refused(begun) == [
        "routes: the routers said no for core on shop_db, and say yes now",
        "routes: the routers said no for shop on default, and say yes now",
    ]


def test_another_database_is_accepted_only_where_that_was_asked_for_and_all_else_is_equal(begun: Project) -> None:
    for alias, name in (("default", "tenant"), ("shop_db", "other")):
        shutil.copyfile(begun.database(alias), begun.root / f"{name}.sqlite3")
        settings = begun.root / "site_settings.py"
        settings.write_text(settings.read_text().replace(begun.database(alias).name, f"{name}.sqlite3"))

    assert refused(begun) == [
        "database: default is another database than the one that the plan was made for",
        "database: shop_db is another database than the one that the plan was made for",
    ]
    apply(begun, "--any-database").expect(0)
    assert applied(begun.root / "tenant.sqlite3")[2] == "core.0003_fill"


def test_a_configuration_that_changes_the_steps_is_named(begun: Project) -> None:
    begun.write("pyproject.toml", '[tool.dbmigrate]\nexclude = ["shop_db"]\n')

    assert refused(begun) == ["plan: step shop_db:shop is not needed any more; the configuration differs"]


def test_other_sql_is_named_and_shown_where_the_plan_has_it(begun: Project) -> None:
    save = ("plan", "--skip-makemigrations", "--sql", "-o", "plan.json")
    operation = 'migrations.RunSQL(__import__("os").environ.get("WORK", "SELECT 1"))'
    begun.write("core/migrations/0004_sql.py", migration(operation, after=(("core", "0003_fill"),)))
    dbmigrate(*save, cwd=begun.root).expect(0)
    ended = dbmigrate("apply", "plan.json", "-v", cwd=begun.root, environment={"WORK": "SELECT 2"}).expect(32)

    assert "  statements: core.0004_sql would run other SQL on default" in ended.stderr
    assert "SELECT 1" in ended.stderr and "SELECT 2" in ended.stderr


def test_a_default_that_a_function_makes_is_the_same_sql_each_time(begun: Project) -> None:
    field = 'migrations.AddField("item", "at", models.DateTimeField(auto_now_add=True, default=timezone.now))'
    head = "from django.utils import timezone"
    field = field.replace("auto_now_add=True, ", "")
    begun.write("core/migrations/0004_at.py", migration(field, head=head, after=(("core", "0003_fill"),)))
    dbmigrate(*SAVE, cwd=begun.root).expect(0)

    apply(begun).expect(0)


def test_what_does_no_harm_is_not_refused(begun: Project) -> None:
    begun.append("core/models.py", "# a comment")
    begun.write("core/views.py", "x = 1\n")
    begun.append("routers.py", "# a comment")
    write(begun, "CREATE TABLE by_hand (id integer); INSERT INTO core_item (name) VALUES ('a row')")
    document = read(begun)
    document["result"]["plan"]["basis"]["versions"]["dbmigrate"] = "0.99.0"
    document["result"]["plan"]["steps"][0]["phase"] = "pre"
    document["result"]["plan"]["later"] = {"key": 1}
    (begun.root / "plan.json").write_text(json.dumps(document))

    apply(begun).expect(0)


def test_at_most_ten_differences_are_shown(begun: Project) -> None:
    for number in range(10, 24):
        begun.write(
            f"core/migrations/00{number}_x.py",
            migration(after=(("core", f"00{number - 1}_x" if number > 10 else "0003_fill"),)),
        )
    found = refused(begun)
    report = dbmigrate("apply", "plan.json", "--format", "json", cwd=begun.root).expect(32).json

    assert (len(found), found[-1]) == (11, "and 4 more")
    assert [one["cause"] for one in report["error"]["differences"]] == ["code"] * 14


def test_models_without_migrations_cannot_be_saved(begun: Project) -> None:
    begun.append("core/models.py", "class New(models.Model):\n    pass")
    ended = dbmigrate("plan", "-o", "new.json", cwd=begun.root).expect(11)
    refusal = dbmigrate("apply", "new.json", cwd=begun.root).expect(2)

    assert "dbmigrate make core" in ended.stderr
    assert "writes migrations first" in refusal.stderr
    assert "dbmigrate plan --skip-makemigrations -o FILE" in refusal.stderr


def test_the_part_that_was_applied_before_a_failure_needs_a_new_plan(begun: Project) -> None:
    begun.write("shop/texts.py", "def note():\n    raise RuntimeError('no')\n")
    dbmigrate(*SAVE, cwd=begun.root).expect(0)
    ended = apply(begun).expect(31)

    assert "approve a new plan for the rest" in ended.stderr
    lines = [line.split(" was applied")[0] for line in refused(begun)]
    assert (lines[0], lines[-1]) == ("applied: default: core.0002_note", "applied: shop_db: shop.0002_note")


def test_only_the_expected_digest_runs(begun: Project) -> None:
    digest = read(begun)["result"]["plan"]["digest"]
    refusal = dbmigrate("all", "--expect", "0" * 12, cwd=begun.root).expect(32)
    dbmigrate("run", "--app", "core", "--expect", digest, cwd=begun.root).expect(32)
    done = dbmigrate("all", "--skip-makemigrations", "--expect", digest[:12].upper(), cwd=begun.root).expect(0)
    dbmigrate("all", "--expect", digest, cwd=begun.root).expect(0)

    assert differences(refusal) == [f"digest: the plan has the digest {digest[:12]}, and 000000000000 was expected"]
    assert "All migrations completed successfully" in done.stdout


def test_a_digest_covers_what_is_pending_and_models_without_migrations(begun: Project) -> None:
    digest = read(begun)["result"]["plan"]["digest"]
    begun.append("core/models.py", "class New(models.Model):\n    pass")
    ended = dbmigrate("all", "--expect", digest, cwd=begun.root).expect(32)

    assert differences(ended) == ["plan: models of core changed and have no migrations yet"]


def test_a_digest_covers_steps_that_run_although_nothing_is_pending(begun: Project) -> None:
    apply(begun).expect(0)
    again = ("run", "--app", "core", "--always")
    refusal = dbmigrate(*again, "--expect", "0" * 12, cwd=begun.root).expect(32)
    digest = differences(refusal)[0].split()[6].rstrip(",")

    dbmigrate(*again, "--expect", digest, cwd=begun.root).expect(0)


def test_a_plan_that_undoes_is_applied(begun: Project) -> None:
    apply(begun).expect(0)
    begun.write("core/migrations/0003_fill.py", migration(after=(("core", "0002_note"),)))
    dbmigrate("plan", "--app", "core", "--to", "0001", "-o", "plan.json", cwd=begun.root).expect(0)
    apply(begun).expect(0)
    again = apply(begun).expect(0)

    assert "core.0002_note" not in applied(begun.database("default"))
    assert "already applied" in again.stdout


def test_a_plan_that_creates_tables_without_migrations_is_applied_once(begun: Project) -> None:
    begun.write("notes/__init__.py", "")
    begun.write("notes/models.py", model("Note"))
    settings = begun.root / "site_settings.py"
    settings.write_text(settings.read_text().replace("'shop'", "'shop', 'notes'", 1))
    dbmigrate(*SAVE, "--run-syncdb", cwd=begun.root).expect(0)

    first = apply(begun).expect(0)
    again = apply(begun).expect(0)

    assert "already applied" not in first.stdout
    assert "already applied" in again.stdout
    write(begun, "DROP TABLE notes_note")
    assert "already applied" not in apply(begun).expect(32).stdout


def test_a_plan_of_another_project_is_refused(begun: Project, tmp_path: Path) -> None:
    other = write_project(tmp_path / "other", {"news": simple_app()})
    same = write_project(tmp_path / "same", {"news": simple_app()}, aliases=("default", "shop_db"))
    plan = str(begun.root / "plan.json")

    for project, why in ((other, "database shop_db, which is not in DATABASES"), (same, "app core, which is not")):
        ended = dbmigrate("apply", plan, cwd=project.root).expect(2)
        assert f"the plan is of another project: it migrates {why}" in ended.stderr


def test_whatever_is_in_the_file_the_answer_is_one_sentence(
    begun: Project, in_process: InProcess, request: pytest.FixtureRequest
) -> None:
    text = (begun.root / "plan.json").read_text()
    edited = text.replace('"core.0002_note"', '"core.0002_more"')
    bare = json.loads(text)
    bare["result"]["plan"]["basis"]["statements"] = []
    strange = [
        {**json.loads(text), "result": {**json.loads(text)["result"], "sql": sql}}
        for sql in (5, [{"migrations": None}])
    ]
    status = dbmigrate("status", "--format", "json", cwd=begun.root).expect(0).stdout
    files = {
        "status.json": (status, "is the document of dbmigrate status, not a saved plan"),
        "printed.json": (text.replace('"statements": [', '"statements": null, "x": ['), "was printed, not saved"),
        "newer.json": (text.replace('"version": 1', '"version": 2', 1), "was written by a later dbmigrate"),
        "cut.json": (text[: len(text) // 2], "is not JSON: "),
        "empty.json": ("", "is not JSON: "),
        "twice.json": (text.replace('"version": 1', '"version": 1, "version": 1', 1), 'has the key "version" twice'),
        "edited.json": (edited, "was changed after it was written"),
        "bare.json": (json.dumps(bare), "was changed after it was written: the hash of what core.0002_note runs is"),
        "number.json": (json.dumps(strange[0]), "has SQL that cannot be read"),
        "null.json": (json.dumps(strange[1]), "has SQL that cannot be read"),
        "plain.json": ("hello", "is not JSON: "),
        "list.json": ("[]", "is JSON, but not a document of dbmigrate"),
        "deep.json": ("[" * 100_000, "is not a document of dbmigrate: it is nested too deeply"),
        "odd.json": (text.replace('"to": null', '"to": 3'), "has no plan that can be read: "),
    }
    for name, (content, _) in files.items():
        (begun.root / name).write_text(content)
    with (begun.root / "huge.json").open("wb") as huge:
        huge.truncate(300 << 20)
    (begun.root / "bytes.json").write_bytes(b"\xff\xfe{")
    os.mkfifo(begun.root / "pipe")
    said = {name: why for name, (_, why) in files.items()} | {
        "huge.json": "is too large for a saved plan: 300 MB",
        "bytes.json": "is not JSON: it is not UTF-8",
        "pipe": "is not a regular file",
        "core": "is a folder, not a saved plan",
        "nowhere.json": "cannot be read: No such file or directory",
        "-": "apply requires a file name",
    }

    for name, why in said.items():
        ended = in_process("apply", name, cwd=begun.root).expect(2)
        assert why in ended.stderr.splitlines()[0], name
        assert "(nothing was changed)" in ended.stderr.splitlines()[0], name


def test_options_that_say_what_is_done_are_refused_by_name(begun: Project, in_process: InProcess) -> None:
    options = (["--app", "core"], ["--database", "default"], ["--to", "zero"], ["--fake"], ["--no-lock"], ["--always"])
    for words in options:
        ended = in_process("apply", "plan.json", *words, cwd=begun.root).expect(2)
        assert f"{words[0]} cannot be combined with a saved plan" in ended.stderr
    for words in (["abc"], ["g" * 12], ["0" * 65]):
        assert "is not a digest" in in_process("all", "--expect", *words, cwd=begun.root).expect(2).stderr
    for more in ("--no-lock", "--dry-run"):
        ended = in_process("all", "--expect", "0" * 12, more, cwd=begun.root).expect(2)
        assert f"--expect cannot be combined with {more}" in ended.stderr


def test_no_report_replaces_the_plan_that_is_applied(begun: Project, in_process: InProcess) -> None:
    text = (begun.root / "plan.json").read_text()
    (begun.root / "link.json").symlink_to("plan.json")
    for words in (["-o", "plan.json"], ["-olink.json"], ["--junit", "./plan.json"]):
        ended = in_process("apply", "plan.json", *words, cwd=begun.root).expect(2)
        assert "would replace the saved plan" in ended.stderr
    in_process("apply", "plan.json", "--output-file=plan.json", "--fake", cwd=begun.root).expect(2)

    assert (begun.root / "plan.json").read_text() == text


def test_a_document_holds_no_host_and_no_password(tmp_path: Path) -> None:
    entry = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(tmp_path / "files" / "main.sqlite3"),
        "HOST": "db.internal.example",
        "PASSWORD": "hunter2-is-secret",
    }
    (tmp_path / "files").mkdir()
    project = write_project(tmp_path / "site", {"core": _app("core")}, aliases={"default": entry})
    dbmigrate(*SAVE, cwd=project.root).expect(0)
    text = (project.root / "plan.json").read_text()

    assert "hunter2" not in text
    assert "db.internal.example" not in text
    assert str(tmp_path / "files") not in text


def test_a_password_that_is_a_part_of_a_hash_leaves_the_hash_as_it_is(begun: Project) -> None:
    plan = read(begun)["result"]["plan"]
    parts = {"DIGEST_KEY": plan["digest"][8:20], "FILE_TOKEN": plan["basis"]["code"]["core.0002_note"]["sha256"][:8]}
    dbmigrate(*SAVE, cwd=begun.root, environment=parts).expect(0)

    assert read(begun)["result"]["plan"]["digest"] == plan["digest"]
    apply(begun).expect(0)


def test_a_document_of_this_version_is_read_whatever_a_later_one_adds(begun: Project) -> None:
    plan = read(begun)["result"]["plan"]
    more = json.loads(json.dumps(plan).replace('"is_own":', '"later": [1], "is_own":'))

    assert SavedPlan.model_validate(known_part(more, SavedPlan)) == SavedPlan.model_validate(
        known_part(plan, SavedPlan)
    )


@pytest.mark.parametrize("example", sorted((DOCS / "examples").glob("plan-*.json")), ids=lambda file: file.stem)
def test_the_documents_of_all_versions_are_read(example: Path) -> None:
    document = read_document(example.parent, example.name)

    assert [step.id for step in document.plan.steps] == ["shop_db:shop"]
    assert str(Path.home()) not in example.read_text()


def test_this_version_has_an_example_that_fits_its_schema() -> None:
    text = (DOCS / "examples" / f"plan-{__version__}.json").read_text()

    assert Envelope.model_validate_json(text).command == "plan"
