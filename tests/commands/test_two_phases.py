"""`--phase pre|post` from end to end: what is read from migrations, what runs when, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.cli import dbmigrate
from support.documents import blocks
from support.postgresql import PostgresqlServer
from support.projects import Project, applied, create, migration, model, simple_app, write_project

ADD = 'migrations.AddField("item", "{}", models.TextField(null=True))'
DROP = 'migrations.RemoveField("item", "{}")'
FILL = "migrations.RunPython(fill)"
HEAD = "def fill(apps, schema_editor):\n    pass\n"


def marked(*operations: str, number: int, mark: str = "", head: str = "", label: str = "blog", **more: Any) -> str:
    """Return a migration that follows the one before it in its app, with a line in its class."""
    after = more.pop("after", ((label, f"{number - 1:04}"),) if number > 1 else ())
    text = migration(*operations, after=after, head=head or HEAD, **more)
    return text.replace("    atomic = True\n", f"    {mark}\n" if mark else "")


def two_databases(root: Path, *blog: str, settings: str = "", aliases: Any = ("default", "blog_db")) -> Project:
    """Write a project with core on default and blog on blog_db, whose migrations after the first are these."""
    first = marked(create("Item", '("old", models.TextField(null=True))'), number=1)
    files = {f"migrations/{number:04}.py": text for number, text in enumerate((first, *blog), 1)}
    app = {"models.py": model(), **files}
    return write_project(
        root, {"core": simple_app(), "blog": app}, aliases=aliases, rules={"blog": "blog_db"}, settings=settings
    )


def deployed(project: Project, number: int = 1) -> Project:
    """Return the project as the release before left it."""
    dbmigrate("run", "--app", "core", cwd=project.root).expect(0)
    dbmigrate("run", "--app", "blog", "--to", f"{number:04}", cwd=project.root).expect(0)
    return project


def blog(project: Project) -> list[str]:
    """Return the migrations of blog that are recorded on its database."""
    return [one for one in applied(project.database("blog_db")) if one.startswith("blog.")]


def every(command: str, project: Project, code: int = 0) -> Any:
    return dbmigrate(*command.split(), "--skip-makemigrations", cwd=project.root).expect(code)


THREE = (marked(ADD.format("new"), number=2), marked(DROP.format("old"), number=3))


def test_the_first_phase_leaves_the_drop_and_the_second_does_it(tmp_path: Path) -> None:
    project = deployed(two_databases(tmp_path, *THREE))

    early = every("all --phase post", project, 13)
    assert "DBM402: database blog_db still lacks what runs before the deploy: blog.0002" in early.stderr
    assert "dbmigrate all --phase pre" in early.stderr
    shown = every("plan", project).stdout
    assert "blog.0002 (pre)\n" in shown
    assert "blog.0003 (post)\n" in shown
    assert "blog.0003 (post: Remove field old from item)\n" in every("plan -v", project).stdout
    first = every("all --phase pre", project)
    assert first.stderr.startswith("Migrating all databases (phase pre)...\n")
    assert "1 migration left for after the deploy: dbmigrate all --phase post" in first.stdout
    assert blog(project) == ["blog.0001", "blog.0002"]

    again = every("all --phase pre", project)
    assert again.stdout.endswith(
        "Nothing pending for this phase; 1 migration left for after the deploy: dbmigrate all --phase post\n"
    )
    document = dbmigrate("status", "--format", "json", cwd=project.root).json["result"]
    assert [database["by_phase"] for database in document["databases"]] == [{"post": 1}, {"post": 1}]
    assert "1 (1 post)" in dbmigrate("status", cwd=project.root).stdout
    assert every("plan --phase pre --exit-code", project).stdout.count("blog.0003") == 2
    every("plan --phase post --exit-code", project, 10)

    every("all --phase post", project)

    assert blog(project) == ["blog.0001", "blog.0002", "blog.0003"]
    assert dbmigrate("status", "--exit-code", cwd=project.root).code == 0


@pytest.mark.soak
def test_a_saved_plan_of_a_phase_is_stale_once_another_phase_is_configured(tmp_path: Path) -> None:
    project = deployed(two_databases(tmp_path, *THREE))
    every("plan --phase pre -o plan.json", project)
    project.write("pyproject.toml", '[tool.dbmigrate.phases]\n"blog.0003" = "pre"\n')

    stale = dbmigrate("apply", "plan.json", cwd=project.root).expect(32)

    assert "blog.0003" in stale.stderr
    assert "hint: dbmigrate plan --skip-makemigrations --phase pre -o plan.json\n" in stale.stderr
    assert blog(project) == ["blog.0001"]
    (project.root / "pyproject.toml").unlink()
    dbmigrate("apply", "plan.json", cwd=project.root).expect(0)
    assert blog(project) == ["blog.0001", "blog.0002"]


def test_new_databases_take_everything_in_the_first_phase_and_say_so(tmp_path: Path) -> None:
    project = two_databases(tmp_path, *THREE, marked(FILL, number=4))

    plan = every("plan --phase pre", project).stdout
    done = every("all --phase pre", project)

    said = "blog_db: nothing is recorded there, so no old code uses it: all phases at once"
    assert said in plan
    assert said in done.stderr
    assert done.stdout.endswith("All migrations completed successfully\n")
    assert blog(project)[-1] == "blog.0004"


def test_a_new_database_takes_everything_after_the_deploy_too_once_no_other_lacks_what_comes_before(
    tmp_path: Path,
) -> None:
    project = deployed(two_databases(tmp_path, *THREE))
    needed = migration(ADD.format("more"), after=(("core", "0001_initial"),))
    project.write("core/migrations/0002.py", needed)
    project.database("blog_db").unlink()

    early = every("run --database blog_db --phase post", project, 13).stderr
    every("run --database default --phase pre", project)
    done = every("run --database blog_db --phase post", project).stderr

    assert "DBM402: database default still lacks what runs before the deploy: core.0002" in early
    assert "blog_db: nothing is recorded there, so no old code uses it: all phases at once" in done
    assert blog(project) == ["blog.0001", "blog.0002", "blog.0003"]


NO_PACKAGE = """
import enum

class When(enum.Enum):
    ALWAYS = "always"
    BEFORE_DEPLOY = "before_deploy"
    AFTER_DEPLOY = "after_deploy"

class Safe:
    def __init__(self, when, delay=None):
        self.when, self.delay = when, delay
    before_deploy = classmethod(lambda cls: cls(When.BEFORE_DEPLOY))
    after_deploy = classmethod(lambda cls, delay=None: cls(When.AFTER_DEPLOY, delay))
    always = classmethod(lambda cls: cls(When.ALWAYS))

class Old(enum.Enum):
    always = "always"
    after_deploy = "after_deploy"

class Stage(enum.Enum):
    PRE_DEPLOY = "pre_deploy"
    POST_DEPLOY = "post_deployment"

def broken():
    raise ValueError("no")

class Staged(migrations.RunPython):
    stage = Stage.POST_DEPLOY

def fill(apps, schema_editor):
    pass
"""
"""What the packages have, in the words in which migrations see it, without them."""

MARKS = {
    "safe = Safe.before_deploy()": "pre",
    "safe = Safe.before_deploy": "pre",
    "safe = Safe.after_deploy(delay=7)": "post",
    "safe = Safe.always": "pre",
    "safe = Old.after_deploy": "post",
    'safe = "after_deploy"': "post",
    "stage = Stage.PRE_DEPLOY": "pre",
    "stage = Stage.POST_DEPLOY": "post",
    "is_post_deployment = True": "post",
    "is_post_deployment = False": "pre",
    'safe = "sometimes"': "undecided",
    "safe = broken": "undecided",
    "safe = Safe.before_deploy; is_post_deployment = True": "undecided",
    "is_post_deployment = 1": "undecided",
    "safe = property(lambda self: 1 / 0)": "undecided",
    "": "undecided",
}


def test_marks_are_read_by_value_without_the_packages(tmp_path: Path) -> None:
    project = one_app_for_each(tmp_path, {mark: (mark, FILL) for mark in MARKS}, head=NO_PACKAGE)

    assert phases(project, MARKS) == MARKS


NEW = (
    "migrations.CreateModel('New', [('id', models.BigAutoField(primary_key=True)), ('b', models.IntegerField()), "
    "('a', models.IntegerField(null=True))])"
)
WORK = {
    "migrations.CreateModel('New', [('id', models.BigAutoField(primary_key=True))])": "pre",
    ADD.format("new"): "pre",
    "migrations.AddField('item', 'new', models.TextField(default=''))": "pre",
    "migrations.AddIndex('item', models.Index(fields=['name'], name='by_name'))": "pre",
    "migrations.AlterModelOptions('item', {'ordering': ['id']})": "pre",
    "migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel('item')])": "pre",
    "migrations.AlterField('item', 'name', models.CharField(max_length=30))": "pre",
    "migrations.AlterField('item', 'name', models.CharField(max_length=20, null=True, help_text='x'))": "pre",
    "migrations.AlterField('item', 'name', models.CharField(max_length=20, help_text='x'))": "pre",
    f"{NEW}, migrations.AlterUniqueTogether('new', {{('a', 'b')}})": "pre",
    f"{NEW}, migrations.AlterField('new', 'a', models.IntegerField())": "pre",
    f"{NEW}, {FILL}": "undecided",
    "migrations.DeleteModel('item')": "post",
    DROP.format("name"): "post",
    "migrations.AddField('item', 'copy', models.GeneratedField(expression=models.F('name'), "
    "output_field=models.TextField(), db_persist=False))": "pre",
    "migrations.RenameField('item', 'name', 'title')": "post",
    "migrations.RenameModel('Item', 'Thing')": "post",
    "migrations.SeparateDatabaseAndState(database_operations=[migrations.DeleteModel('item')])": "post",
    "migrations.AlterField('item', 'name', models.CharField(max_length=10))": "undecided",
    "migrations.AlterField('item', 'name', models.CharField(max_length=20, unique=True))": "undecided",
    "migrations.AlterField('item', 'name', models.TextField())": "undecided",
    "migrations.RunSQL('SELECT 1')": "undecided",
    FILL: "undecided",
    f"{ADD.format('new')}, {DROP.format('name')}": "undecided",
    "Staged(fill)": "post",
    f"Staged(fill), {DROP.format('name')}": "post",
}


def test_what_no_mark_says_the_operations_say(tmp_path: Path) -> None:
    project = one_app_for_each(tmp_path, {work: ("", work) for work in WORK}, head=NO_PACKAGE)

    assert phases(project, WORK) == WORK


@pytest.mark.soak
def test_a_field_that_cannot_be_compared_leaves_its_migration_undecided(tmp_path: Path) -> None:
    head = """\
        class Odd(models.CharField):
            def deconstruct(self):
                raise ValueError("no")
        """
    odd = "migrations.AlterField('item', 'name', Odd(max_length=20))"
    project = one_app_for_each(tmp_path, {"odd": ("", odd)}, head=head)

    status = dbmigrate("status", "--format", "json", cwd=project.root).expect(0).json["result"]

    assert [database["by_phase"] for database in status["databases"]] == [{"undecided": 1}]


def test_a_default_of_the_database_may_come_before_the_deploy_and_not_go(tmp_path: Path) -> None:
    change = "migrations.AlterField('item', 'name', models.CharField(max_length=20{}))"
    project = one_app_for_each(tmp_path, {"comes": ("", change.format(", db_default='x'"))})
    goes = marked(change.format(""), number=3, mark="", after=(("app0", "0002"),))
    project.write("app0/migrations/0003.py", goes)

    status = dbmigrate("status", "--format", "json", cwd=project.root).expect(0).json["result"]

    assert [database["by_phase"] for database in status["databases"]] == [{"pre": 1, "undecided": 1}]


def one_app_for_each(root: Path, cases: dict[str, tuple[str, str]], *, head: str = "", settings: str = "") -> Project:
    """Write an app for each (mark, operations), whose first migration is applied and whose second has both."""
    labels = [f"app{number}" for number in range(len(cases))]
    project = write_project(root, {label: simple_app() for label in labels}, settings=settings)
    every("all", project)
    for label, (mark, operations) in zip(labels, cases.values(), strict=True):
        second = marked(operations, number=2, mark=mark, head=head, after=((label, "0001_initial"),))
        project.write(f"{label}/migrations/0002.py", second)
    return project


def phases(project: Project, cases: dict[str, str]) -> dict[str, str]:
    """Return by case what `plan` says of the migration that stands for it."""
    document = dbmigrate("plan", "--skip-makemigrations", "--format", "json", cwd=project.root).expect(0).json["result"]
    found = {one["id"]: one["phase"] for step in document["plan"]["steps"] for one in step["migrations"]}
    return {case: found[f"app{number}.0002"] for number, case in enumerate(cases)}


@pytest.mark.soak
def test_settings_of_syzygy_decide_what_operations_do_not(tmp_path: Path) -> None:
    cases = {"app0": "post", "app1.0002": "pre", "app2": "undecided"}
    settings = """
        import enum
        class Stage(enum.Enum):
            PRE_DEPLOY = "pre_deploy"
            POST_DEPLOY = "post_deployment"
        MIGRATION_STAGES_OVERRIDE = {"app0": Stage.POST_DEPLOY}
        MIGRATION_STAGES_FALLBACK = {"app1.0002": Stage.PRE_DEPLOY}
        MIGRATION_THIRD_PARTY_STAGES_FALLBACK = Stage.PRE_DEPLOY
        """
    both = f"{ADD.format('new')}, {DROP.format('name')}"
    operations = dict(zip(cases, (("", ADD.format("new")), ("", both), ("", both)), strict=True))
    project = one_app_for_each(tmp_path, operations, settings=settings)

    assert phases(project, cases) == cases


BEHIND = (marked(DROP.format("old"), number=2), marked(ADD.format("new"), number=3))


def test_before_behind_after_is_refused_with_the_places_of_both(tmp_path: Path) -> None:
    project = deployed(two_databases(tmp_path, *BEHIND))

    for command in ("plan --phase pre", "all --phase pre", "run --app core --phase pre"):
        refused = every(command, project, 13).stderr
        assert (
            "DBM401: blog.0003 runs before the deploy (Add field new to item) but depends on blog.0002, which runs "
            "after it (Remove field old from item) and is pending on blog_db (blog/migrations/0003.py:9, "
            "blog/migrations/0002.py:9)"
        ) in refused
        assert '"blog.0003" = "post" under [tool.dbmigrate.phases]' in refused
    assert blog(project) == ["blog.0001"]
    assert "DBM401" not in every("all", project).stderr


def test_what_is_undecided_or_marked_wrongly_is_refused_with_what_to_write(tmp_path: Path) -> None:
    wrong = marked(FILL, number=3, mark='safe = "sometimes"', head=NO_PACKAGE)
    project = deployed(two_databases(tmp_path, marked(FILL, number=2), wrong))

    refused = every("all --phase post", project, 13).stderr

    assert "DBM401: nothing says whether blog.0002 runs before or after a deploy (Raw Python operation)" in refused
    assert (
        "DBM401: safe = 'sometimes' of blog.0003 does not say whether it runs before or after a deploy "
        "(blog/migrations/0003.py:36)" in refused
    )
    assert "write safe = Safe.before_deploy(), Safe.after_deploy() or Safe.always() in its class" in refused
    assert '"blog.0002" = "pre" or "post" under [tool.dbmigrate.phases]' in refused
    project.write("pyproject.toml", '[tool.dbmigrate.phases]\n"blog.0002" = "pre"\n"blog.0003" = "post"\n')
    every("all --phase pre", project)
    assert blog(project) == ["blog.0001", "blog.0002"]


def test_check_finds_phases_that_cannot_work_where_the_project_uses_them(tmp_path: Path) -> None:
    project = deployed(two_databases(tmp_path, *BEHIND))

    assert "DBM40" not in dbmigrate("check", "--fail-on", "note", cwd=project.root).stdout
    project.write("pyproject.toml", '[tool.dbmigrate.phases]\nunmarked = "ask"\n')
    assert "DBM401" in dbmigrate("check", cwd=project.root).expect(13).stdout
    assert "DBM402" in dbmigrate("check", "--select", "DBM402", cwd=project.root).expect(0).stdout


def test_without_a_database_check_finds_marks_that_are_wrong_and_nothing_that_may_be_applied(tmp_path: Path) -> None:
    old = marked(FILL, number=2)
    wrong = marked(FILL, number=3, mark='safe = "sometimes"', head=NO_PACKAGE)
    project = two_databases(tmp_path, old, wrong)

    found = dbmigrate("check", "--offline", "--select", "DBM401", cwd=project.root).expect(13).stdout

    assert "DBM401: safe = 'sometimes' of blog.0003 does not say whether it runs before or after a deploy" in found
    assert "blog.0002" not in found


INSERTS = {
    "migrations.AddField('item', 'size', models.IntegerField(default=0))": True,
    "migrations.AddField('item', 'size', models.IntegerField(null=True))": False,
    "migrations.AddField('item', 'size', models.IntegerField(default=0, db_default=0))": False,
    "migrations.AddField('item', 'tags', models.ManyToManyField('self'))": False,
    f"{create('Size')}, migrations.AddField('size', 'size', models.IntegerField(default=0))": False,
    "migrations.AlterField('item', 'name', models.CharField(max_length=20, null=True)), "
    "migrations.AlterField('item', 'name', models.CharField(max_length=20))": False,
    "migrations.AddField('item', 'size', models.IntegerField(null=True)), migrations.RunPython(fill), "
    "migrations.AlterField('item', 'size', models.IntegerField())": True,
    "migrations.AddField('item', 'size', models.IntegerField(default=0)), "
    "migrations.RunSQL('ALTER TABLE item ALTER COLUMN size SET DEFAULT 0')": False,
    "migrations.SeparateDatabaseAndState([migrations.AddField('item', 'size', models.IntegerField(default=0))])": True,
}
"""By operations of a migration that runs before the deploy: whether the inserts of the old code fail after it."""


def test_a_column_without_which_the_inserts_of_the_old_code_fail_is_warned_of(tmp_path: Path) -> None:
    mark = "is_post_deployment = False"
    project = one_app_for_each(tmp_path, {work: (mark, work) for work in INSERTS}, head=HEAD)

    checked = dbmigrate("check", "--select", "DBM404", "--format", "json", cwd=project.root).expect(0).json["result"]

    named = {app for finding in checked["findings"] for app in finding["apps"]}
    assert {case: f"app{number}" in named for number, case in enumerate(INSERTS)} == INSERTS
    assert {finding["level"] for finding in checked["findings"]} == {"warning"}


def test_the_first_phase_warns_of_a_needed_column_and_no_other_run_does(tmp_path: Path) -> None:
    size = "migrations.AddField('item', 'size', models.IntegerField(default=0))"
    colour = marked(create("Colour"), number=3)
    code = "migrations.AddField('colour', 'code', models.IntegerField(default=0))"
    needed = (marked(size, number=2), colour, marked(code, number=4), marked(DROP.format("old"), number=5))
    project = deployed(two_databases(tmp_path, *needed))

    for command in ("plan", "run --app core --phase pre", "all --phase post"):
        silent = every(command, project, 13 if "post" in command else 0)
        assert "DBM404" not in silent.stdout + silent.stderr
    planned = every("plan --phase pre", project).stdout
    done = every("all --phase pre", project).stderr

    assert planned.count("DBM404") == 1
    said = (
        "warning: DBM404: blog.0002 runs before the deploy on blog_db (Add field size to item): size is NOT NULL there "
        "without a default in the database, so inserts of the old code into blog.item fail until the new code serves "
        "(blog/migrations/0002.py:9)\n"
    )
    hint = (
        "hint: give the field db_default=…, or use null=True now and make it NOT NULL in a later migration, which runs"
    )
    for shown in (planned, done):
        assert said in shown
        assert hint in shown


USAGE = {
    "--phase both": (("all", "--phase", "both"), "", "'both' is not one of 'pre', 'post'"),
    "--phase with --to": (
        ("run", "--app", "blog", "--to", "0001", "--phase", "pre"),
        "",
        "--phase finds the migrations to go to and cannot be combined with --to",
    ),
    "--phase with --run-syncdb": (
        ("all", "--phase", "pre", "--run-syncdb"),
        "",
        "--run-syncdb cannot be combined with --phase: tables of apps without migrations belong to no phase",
    ),
    "a pattern of nothing": (
        ("status",),
        '"blog.9999*" = "post"',
        'phases names "blog.9999*", which matches no migration\nhint: remove it, or correct it: ',
    ),
    "a pattern of no app": (
        ("status",),
        '"blgo.0001*" = "post"',
        'phases names "blgo.0001*", which matches no migration\nhint: remove it, or correct it: did you mean blog?',
    ),
    "a value": (("status",), '"blog.0001*" = "both"', "phases blog.0001*: 'both' is not one of pre, post"),
    "without quotes": (("status",), 'blog.0001 = "post"', 'for example "blog.0001" = "post"'),
}


@pytest.mark.parametrize("case", USAGE)
def test_what_is_no_phase_is_a_usage_error(case: str, tmp_path: Path) -> None:
    words, configured, said = USAGE[case]
    project = two_databases(tmp_path, *THREE)
    project.write("pyproject.toml", f"[tool.dbmigrate.phases]\n{configured}\n")

    assert said in dbmigrate(*words, cwd=project.root).expect(2).stderr


def test_an_entry_of_the_variable_that_says_no_phase_is_refused(tmp_path: Path) -> None:
    project = two_databases(tmp_path, *THREE)
    environment = {"DBMIGRATE_PHASES": "blog.0001*=pre, blog.0002"}

    refused = dbmigrate("status", cwd=project.root, environment=environment).expect(2)

    assert "error: DBMIGRATE_PHASES: 'blog.0002' is not of the form PATTERN=pre or PATTERN=post" in refused.stderr


@pytest.mark.soak
def test_the_jobs_of_the_how_to_deploy_in_two_phases(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "two-phases.md").read_text()
    commands = [
        yaml.safe_load(block)["spec"]["template"]["spec"]["containers"][0]["command"] for block in blocks(page, "yaml")
    ]
    project = deployed(two_databases(tmp_path, *THREE))
    recorded = []

    for command in commands:
        assert command[0] == "dbmigrate"
        dbmigrate(*command[1:], cwd=project.root).expect(0)
        recorded.append(blog(project)[-1])

    assert recorded == ["blog.0002", "blog.0003"]


@pytest.mark.soak
@pytest.mark.postgresql
def test_two_databases_of_a_server_go_through_both_phases(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entries = {alias: postgresql.create_database() for alias in ("default", "blog_db")}
    project = two_databases(tmp_path, *THREE, aliases=entries)
    dbmigrate("run", "--app", "core", cwd=project.root).expect(0)
    dbmigrate("run", "--app", "blog", "--to", "0001", cwd=project.root).expect(0)

    def columns() -> set[str]:
        sql = "SELECT column_name FROM information_schema.columns WHERE table_name = 'blog_item'"
        return {name for (name,) in postgresql.query(entries["blog_db"], sql)}

    every("all --phase pre", project)
    assert columns() == {"id", "old", "new"}
    every("all --phase post", project)
    assert columns() == {"id", "new"}


@pytest.mark.parametrize("launcher", ["fork", pytest.param("spawn", marks=pytest.mark.soak)])
def test_a_database_that_somebody_migrates_further_meanwhile_is_not_migrated_back(
    tmp_path: Path, launcher: str
) -> None:

    project = deployed(two_databases(tmp_path, *THREE))
    # Whoever migrates without our lock: what is done between the plan and the step of blog_db.
    project.write(
        "core/migrations/0002_meanwhile.py",
        marked(
            FILL,
            number=2,
            mark="is_post_deployment = False",
            head=f"""\
                import subprocess, sys

                def fill(apps, schema_editor):
                    words = ["migrate", "blog", "--database", "blog_db"]
                    subprocess.run([sys.executable, "manage.py", *words], check=True, cwd={str(project.root)!r})
                """,
            after=(("core", "0001_initial"),),
        ),
    )

    failed = every(f"all --phase pre --launcher {launcher}", project, 31)

    assert "migrated further meanwhile, and this would undo blog.0003; nothing was done" in failed.stderr
    assert blog(project) == ["blog.0001", "blog.0002", "blog.0003"]
