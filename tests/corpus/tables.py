"""DBM301, DBM303 and DBM304: tables that are missing, and what pending migrations would do to those that are there."""

from typing import Any

from support.corpus import Case

ONE = ("default",)

POST = """
    == blog/models.py
    class Post(models.Model):
        title = models.CharField(max_length=20)
        tags = models.ManyToManyField("Tag")

    class Tag(models.Model):
        pass

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Tag", [ID]),
            migrations.CreateModel("Post", [
                ID,
                ("title", models.CharField(max_length=20)),
                ("tags", models.ManyToManyField("blog.Tag")),
            ]),
        ]
    """

TABLES = ("blog_tag", "blog_post", "blog_post_tags")

FOUND = POST.replace(
    "class Migration(migrations.Migration):", "class Migration(migrations.Migration):  # <- DBM301 blog on default"
)


def later(
    *operations: str, head: str = "", name: str = "0002_later", after: str = "0001_initial", text: str = ""
) -> str:
    """Return a second migration of the blog."""
    listed = "".join(f"            {operation}\n" for operation in operations)
    lines = "".join(f"    {line}\n" for line in head.strip("\n").splitlines())
    return (
        f"\n    == blog/migrations/{name}.py\n{lines}    class Migration(migrations.Migration):\n{text}"
        f'        dependencies = [("blog", "{after}")]\n        operations = [\n{listed}        ]\n'
    )


dropped = Case(
    "a table that was dropped by hand",
    FOUND,
    aliases=ONE,
    recorded={"default": "blog.0001_initial"},
    tables={"default": ("blog_post", "blog_post_tags")},
)

renamed_table = Case(
    "a table with a name of its own, given by a later migration",
    POST.replace(
        "class Tag(models.Model):\n        pass",
        'class Tag(models.Model):\n        class Meta:\n            db_table = "labels of posts"',
    )
    + later('migrations.AlterModelTable("tag", "labels of posts"),').replace(
        "Migration(migrations.Migration):", "Migration(migrations.Migration):  # <- DBM301 blog on default"
    ),
    aliases=ONE,
    recorded={"default": "blog.0001_initial blog.0002_later"},
    tables={"default": ("blog_post", "blog_post_tags", "blog_tag")},
)

taken_over = Case(
    "a model that Django takes over later on, whose table nobody has made",
    POST.replace('"Tag", [ID]', '"Tag", [ID], options={"managed": False}')
    + later('migrations.AlterModelOptions("tag", {}),').replace(
        "Migration(migrations.Migration):", "Migration(migrations.Migration):  # <- DBM301 blog on default"
    ),
    aliases=ONE,
    recorded={"default": "blog.0001_initial"},
    tables={"default": ("blog_post", "blog_post_tags")},
)

route_changed = Case(
    "an app that went to another database after all was recorded there",
    POST.replace(
        "class Migration(migrations.Migration):",
        "class Migration(migrations.Migration):  # <- DBM301 blog on blog_db and DBM301 blog on blog_db and DBM301 blog on blog_db",
    ),
    rules={"blog": "blog_db"},
    recorded={"default": "blog.0001_initial", "blog_db": "blog.0001_initial"},
    tables={"default": TABLES},
)

model_renamed = Case(
    "a model that was renamed, and its table not",
    POST.replace("Tag(models.Model)", "Label(models.Model)").replace('Field("Tag")', 'Field("Label")')
    + later('migrations.RenameModel("Tag", "Label"),').replace(
        "Migration(migrations.Migration):", "Migration(migrations.Migration):  # <- DBM301 blog on default"
    ),
    aliases=ONE,
    recorded={"default": "blog.0001_initial blog.0002_later"},
    tables={"default": TABLES},
)

state_only = Case(
    "a model of which the database part was left out",
    POST.replace("class Tag(models.Model):", "class Draft(models.Model):\n        pass\n\n    class Tag(models.Model):")
    + later(
        "migrations.SeparateDatabaseAndState(", '    state_operations=[migrations.CreateModel("Draft", [ID])],', "),"
    ).replace("Migration(migrations.Migration):", "Migration(migrations.Migration):  # <- DBM301 blog on default"),
    aliases=ONE,
    recorded={"default": "blog.0001_initial blog.0002_later"},
    tables={"default": TABLES},
)

APPLIED: dict[str, Any] = {"aliases": ONE, "recorded": {"default": "blog.0001_initial"}, "tables": {"default": TABLES}}

half_done = Case(
    "two operations outside of a transaction",
    POST.replace(
        "20)\n", "20)\n        one = models.IntegerField(null=True)\n        two = models.IntegerField(null=True)\n", 1
    )
    + later(
        'migrations.AddField("post", "one", models.IntegerField(null=True)),',
        'migrations.AddField("post", "two", models.IntegerField(null=True)),',
        text="        atomic = False\n",
    ).replace("Migration(migrations.Migration):", "Migration(migrations.Migration):  # <- DBM303 blog on default"),
    **APPLIED,
)

OLD = """
    class Old(models.Model):
        title = models.CharField(max_length=20)
    """

WITH_OLD = POST.replace(
    'migrations.CreateModel("Tag", [ID]),',
    'migrations.CreateModel("Tag", [ID]),\n            migrations.CreateModel("Old", [ID, ("title", models.CharField(max_length=20))], options={}),',
)
WITH_OLD_TABLES: dict[str, Any] = {
    "aliases": ONE,
    "recorded": {"default": "blog.0001_initial"},
    "tables": {"default": (*TABLES, "blog_old")},
}

drops_table = Case(
    "a table that goes",
    WITH_OLD + later('migrations.DeleteModel("Old"),  # <- DBM304 blog on default'),
    **WITH_OLD_TABLES,
)

NO_TAGS = POST.replace('        tags = models.ManyToManyField("Tag")\n', "")
drops_m2m = Case(
    "the table of a many-to-many field that goes",
    NO_TAGS + later('migrations.RemoveField("post", "tags"),  # <- DBM304 blog on default'),
    **APPLIED,
)

NO_TITLE = POST.replace("        title = models.CharField(max_length=20)\n", "")
drops_column = Case(
    "a column that goes, in the part for the database",
    NO_TITLE
    + later(
        "migrations.SeparateDatabaseAndState(",
        "    database_operations=[",
        '        migrations.RemoveField("post", "title"),  # <- DBM304 blog on default',
        "    ],",
        '    state_operations=[migrations.RemoveField("post", "title")],',
        "),",
    ),
    **APPLIED,
)

deletes_rows = Case(
    "rows that a function deletes",
    POST
    + later(
        "migrations.RunPython(forget, migrations.RunPython.noop),  # <- DBM304 blog on default",
        head="""
def forget(apps, schema_editor):
    apps.get_model("blog", "Post").objects.filter(title="").delete()

""",
    ),
    **APPLIED,
)

drops_by_sql = Case(
    "a table that the schema editor is told to drop",
    POST
    + later(
        "migrations.RunPython(forget, migrations.RunPython.noop),  # <- DBM304 blog on default",
        head="""
def forget(apps, schema_editor):
    schema_editor.execute("DROP TABLE blog_tag")

""",
    ),
    **APPLIED,
)

sql = Case(
    "statements that delete",
    POST
    + later(
        "migrations.RunSQL(  # <- DBM304 blog on default",
        '    [("DELETE FROM blog_post WHERE title = %s", [""])],',
        '    "SELECT 1",',
        "),",
    ),
    **APPLIED,
)

irreversible = Case(
    "statements that nobody can take back",
    POST + later("migrations.RunSQL(\"UPDATE blog_post SET title = ''\"),  # <- DBM304 blog on default"),
    **APPLIED,
)

MANY = "INSERT INTO blog_post (id) VALUES (200000)"
rewrites = Case(
    "a large table that changes its type",
    POST.replace("title = models.CharField(max_length=20)", "title = models.IntegerField()")
    + later('migrations.AlterField("post", "title", models.IntegerField()),  # <- DBM304 blog on default'),
    aliases=ONE,
    recorded={"default": "blog.0001_initial"},
    tables={"default": (*TABLES, MANY)},
)

locks = Case(
    "an index on a large table",
    POST.replace("max_length=20)\n", "max_length=20, db_index=True)\n", 1)
    + later(
        'migrations.AlterField("post", "title", models.CharField(max_length=20, db_index=True)),  # <- DBM304 blog on default'
    ),
    aliases=ONE,
    recorded={"default": "blog.0001_initial"},
    tables={"default": (*TABLES, MANY)},
)

BIG_NAME = """
    == blog/models.py
    class Tag(models.Model):
        pass

    class WholesaleProductVariant(models.Model):
        tags = models.ManyToManyField("Tag")

        class Meta:
            db_table = "blog_wholesaleproductvariant_2"

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Tag", [ID]),
            migrations.CreateModel("WholesaleProductVariant", [ID, ("tags", models.ManyToManyField("blog.Tag"))]),
        ]
    """ + later('migrations.AlterModelTable("wholesaleproductvariant", "blog_wholesaleproductvariant_2"),')

BY_MODEL = """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, model_name=None, **hints):
            return db == ("blog_db" if model_name in ("post", "tag") else "default")
    """

CASES = (
    dropped,
    dropped.twin("all tables there", tables={"default": TABLES}),
    dropped.twin(
        "a view where a table is expected",
        tables={"default": ("blog_post", "blog_post_tags", "CREATE VIEW blog_tag AS SELECT 1 AS id")},
    ),
    dropped.twin(
        "a table with a name in other letters", tables={"default": ("BLOG_TAG", "blog_post", "blog_post_tags")}
    ),
    dropped.twin(
        "a table that others make",
        {
            "class Tag(models.Model):\n        pass": "class Tag(models.Model):\n        class Meta:\n            managed = False",
            '"Tag", [ID]': '"Tag", [ID], options={"managed": False}',
        },
    ),
    dropped.twin(
        "a model for another kind of server",
        {
            "class Tag(models.Model):": 'class Ledger(models.Model):\n        class Meta:\n            required_db_vendor = "oracle"\n\n    class Tag(models.Model):',
            'migrations.CreateModel("Tag"': 'migrations.CreateModel("Ledger", [ID], options={"required_db_vendor": "oracle"}),\n            migrations.CreateModel("Tag"',
        },
        tables={"default": TABLES},
    ),
    dropped.twin(
        "what is recorded where the routers refuse it",
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
        tables={"default": ()},
    ),
    Case(
        "the automatic table that was dropped",
        FOUND,
        aliases=ONE,
        recorded={"default": "blog.0001_initial"},
        tables={"default": ("blog_tag", "blog_post")},
    ),
    Case(
        "an automatic table beside its model, of which the router says default",
        POST + BY_MODEL,
        recorded={"default": "blog.0001_initial", "blog_db": "blog.0001_initial"},
        tables={"blog_db": TABLES},
    ),
    renamed_table,
    renamed_table.twin("the same name before its migration", recorded={"default": "blog.0001_initial"}),
    Case(
        "a long name that differs at its end, before its migration",
        BIG_NAME,
        aliases=ONE,
        recorded={"default": "blog.0001_initial"},
        tables={"default": ("blog_tag", "blog_wholesaleproductvariant", "blog_wholesaleproductvariant_tags")},
    ),
    route_changed,
    model_renamed,
    model_renamed.twin("the same model before it is renamed", recorded={"default": "blog.0001_initial"}),
    state_only,
    state_only.twin(
        "a model that took over the table of another",
        {
            "class Draft(models.Model):\n        pass": 'class Draft(models.Model):\n        class Meta:\n            db_table = "drafts"',
            '"Draft", [ID]': '"Draft", [ID], options={"db_table": "drafts"}',
        },
        tables={"default": (*TABLES, "drafts")},
    ),
    taken_over,
    taken_over.twin("the same where its table is there", tables={"default": TABLES}),
    half_done,
    half_done.twin("the same two in a transaction", {"atomic = False": "atomic = True"}),
    half_done.twin("the same two, applied", recorded={"default": "blog.0001_initial blog.0002_later"}),
    half_done.twin(
        "the same two where the app does not belong",
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
        recorded={"default": "blog.0001_initial", "blog_db": "blog.0001_initial blog.0002_later"},
        tables={"blog_db": TABLES},
    ),
    drops_table,
    drops_table.twin("the same table on a fresh database", recorded={}, tables={}),
    drops_table.twin(
        "the same table, given away and not dropped",
        {'migrations.DeleteModel("Old"),': 'migrations.SeparateDatabaseAndState([], [migrations.DeleteModel("Old")]),'},
    ),
    drops_table.twin("a model that others have the table of", {"options={}": 'options={"managed": False}'}),
    drops_table.twin(
        "a proxy that goes",
        {
            '"Old", [ID, ("title", models.CharField(max_length=20))], options={}': '"Old", [], options={"proxy": True}, bases=("blog.tag",)'
        },
    ),
    drops_table.twin(
        "a model that was given up before it goes",
        {
            'migrations.DeleteModel("Old"),': 'migrations.AlterModelOptions("old", {"managed": False}),\n            migrations.DeleteModel("Old"),'
        },
    ),
    drops_m2m,
    drops_m2m.twin(
        "a many-to-many field with a table of its own that stays",
        {
            'migrations.CreateModel("Post", [': 'migrations.CreateModel("Mark", [ID, ("tag", models.ForeignKey("blog.Tag", CASCADE))], options={"db_table": "blog_post_tags"}),\n            migrations.CreateModel("Post", [',
            '("tags", models.ManyToManyField("blog.Tag")),\n            ]),': ']),\n            migrations.AddField("mark", "post", models.ForeignKey("blog.Post", CASCADE)),\n            migrations.AddField("post", "tags", models.ManyToManyField("blog.Tag", through="blog.Mark")),',
            "class Tag(models.Model):\n        pass": 'class Tag(models.Model):\n        pass\n\n    class Mark(models.Model):\n        tag = models.ForeignKey(Tag, CASCADE)\n        post = models.ForeignKey(Post, CASCADE)\n\n        class Meta:\n            db_table = "blog_post_tags"',
        },
    ),
    drops_column,
    drops_column.twin("a column that is left where it is", {'        migrations.RemoveField("post", "title"),': ""}),
    drops_column.twin(
        "a column that comes and goes in one run",
        {
            '        migrations.RemoveField("post", "title"),': '        migrations.AddField("post", "aim", models.TextField(null=True)),\n                    migrations.RemoveField("post", "aim"),'
        },
    ),
    deletes_rows,
    deletes_rows.twin("the same rows on a fresh database", recorded={}, tables={}),
    deletes_rows.twin(
        "something else that is called delete",
        {
            'apps.get_model("blog", "Post").objects.filter(title="").delete()': "from django.core.cache import cache; cache.delete('posts')"
        },
    ),
    drops_by_sql,
    drops_by_sql.twin(
        "a word in a docstring",
        {'schema_editor.execute("DROP TABLE blog_tag")': '"""Instead of DROP TABLE blog_tag: nothing."""'},
    ),
    sql,
    sql.twin(
        "the same words in a comment",
        {
            '[("DELETE FROM blog_post WHERE title = %s", [""])]': '"/* not DELETE FROM blog_post */ SELECT 1 -- nor TRUNCATE blog_post"'
        },
    ),
    sql.twin(
        "a view that is made anew",
        {
            '[("DELETE FROM blog_post WHERE title = %s", [""])]': '["DROP VIEW IF EXISTS latest", "CREATE VIEW latest AS SELECT id FROM blog_post"]'
        },
    ),
    sql.twin("the same statements on a fresh database", recorded={}, tables={}),
    irreversible,
    irreversible.twin("the same on a fresh database", recorded={}, tables={}),
    rewrites,
    rewrites.twin("the same with few rows", tables={"default": TABLES}),
    locks,
    locks.twin("the same with few rows, too", tables={"default": TABLES}),
)
