"""DBM101 to DBM104, and DBM302: models, migration files and what is recorded, apart."""

from support.corpus import Case

ONE = ("default",)

POST = """
    == blog/models.py
    class Post(models.Model):
        title = models.CharField(max_length=20)

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Post", [ID, ("title", models.CharField(max_length=20))])]
    """

new_field = Case(
    "a field without a migration",
    POST.replace("Post(models.Model):", "Post(models.Model):  # <- DBM101 blog").replace(
        "20)\n\n", "20)\n        text = models.TextField(default=str)\n\n"
    ),
    aliases=ONE,
)

abstract = Case(
    "an abstract base that grew, and two apps that inherit from it",
    """
    == shared/bases.py
    from django.db import models

    class Dated(models.Model):
        written_on = models.DateField(null=True)

        class Meta:
            abstract = True

    == blog/models.py
    from shared.bases import Dated

    class Post(Dated):  # <- DBM101 blog
        pass

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Post", [ID])]

    == news/models.py
    from shared.bases import Dated

    class Item(Dated):
        pass

    class Page(Dated):  # <- DBM101 news
        pass

    == news/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Item", [ID, ("written_on", models.DateField(null=True))]),
            migrations.CreateModel("Page", [ID]),
        ]
    """,
    aliases=ONE,
)

proxy = Case(
    "a proxy that no migration knows",
    POST.replace(
        "20)\n\n",
        "20)\n\n    class Draft(Post):  # <- DBM101 blog\n        class Meta:\n            proxy = True\n\n",
        1,
    ),
    aliases=ONE,
)

installed = Case(
    "an installed app that does not fit the project's DEFAULT_AUTO_FIELD",
    """
    == lib/site-packages/vendor/models.py
    class Thing(models.Model):  # <- DBM101 vendor (warning)
        pass

    == lib/site-packages/vendor/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Thing", [
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ]),
        ]
    """,
    aliases=ONE,
    settings="""
    import sys
    sys.path.append(str(BASE / "lib" / "site-packages"))
    INSTALLED_APPS = ["vendor"]
    """,
)

empty_package = Case(
    "a migrations package with no migration in it",
    """
    == blog/models.py
    class Post(models.Model):  # <- DBM101 blog
        pass

    == blog/migrations/__init__.py
    """,
    aliases=ONE,
)

two_leaves = Case(
    "two branches that met, in an app with a label unlike its package",
    """
    == weblog/apps.py
    from django.apps import AppConfig

    class WeblogConfig(AppConfig):
        name = "weblog"
        label = "blog"

    == weblog/models.py
    class Post(models.Model):
        one = models.IntegerField(null=True)
        two = models.IntegerField(null=True)

    == weblog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Post", [ID])]

    == weblog/migrations/0002_one.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]
        operations = [migrations.AddField("post", "one", models.IntegerField(null=True))]

    == weblog/migrations/0002_two.py
    class Migration(migrations.Migration):  # <- DBM102 blog
        dependencies = [("blog", "0001_initial")]
        operations = [migrations.AddField("post", "two", models.IntegerField(null=True))]
    """,
    aliases=ONE,
    settings='INSTALLED_APPS = ["weblog.apps.WeblogConfig"]',
)

before_dependency = Case(
    "a migration that is recorded before its dependency",
    POST
    + """
    == shop/models.py
    class Product(models.Model):
        pass

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):  # <- DBM103 shop, blog on default
        dependencies = [("blog", "0001_initial")]
        operations = [migrations.CreateModel("Product", [ID])]
    """,
    aliases=ONE,
    recorded={"default": "shop.0001_initial"},
    tables={"default": ("shop_product",)},
)

put_before = Case(
    "a new migration with run_before one that is recorded",
    POST.replace(
        "class Migration(migrations.Migration):",
        "class Migration(migrations.Migration):  # <- DBM103 blog, shop on blog_db",
    )
    + """
    == shop/models.py
    class Product(models.Model):
        pass

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        run_before = [("blog", "0001_initial")]
        operations = [migrations.CreateModel("Product", [ID])]
    """,
    rules={"blog": "blog_db"},
    recorded={"blog_db": "blog.0001_initial"},
    tables={"blog_db": ("blog_post",)},
)

unmigrated = Case(
    "an app without migrations",
    """
    == notes/models.py
    class Note(models.Model):  # <- DBM104 notes (error)
        pass
    """,
    aliases=ONE,
)

unmigrated_table = Case(
    "an app without migrations whose table somebody made",
    """
    == notes/models.py
    class Note(models.Model):  # <- DBM104 notes
        pass
    """,
    aliases=ONE,
    tables={"default": ("notes_note",)},
)

no_package = Case(
    "a migrations folder that is no package",
    """
    == notes/models.py
    class Note(models.Model):  # <- DBM104 notes (error)
        pass

    == notes/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Note", [ID])]

    == notes/migrations/__init__.py
    absent
    """,
    rules={"notes": "blog_db"},
)

switched_off = Case(
    "migrations that the settings switch off",
    POST.replace("Post(models.Model):", "Post(models.Model):  # <- DBM104 blog (error)"),
    aliases=ONE,
    settings='MIGRATION_MODULES = {"blog": None}',
)

SQUASHED = """
    == blog/models.py
    class Post(models.Model):
        title = models.CharField(max_length=20)
        text = models.TextField(null=True)

    == blog/migrations/0001_squashed_0002_text.py
    class Migration(migrations.Migration):
        replaces = [("blog", "0001_initial"), ("blog", "0002_text")]
        operations = [
            migrations.CreateModel("Post", [
                ID,
                ("title", models.CharField(max_length=20)),
                ("text", models.TextField(null=True)),
            ]),
        ]
    """

ahead = Case(
    "a database with a migration of a newer deploy",
    POST,
    aliases=ONE,
    recorded={"default": "blog.0001_initial blog.0002_later"},
    tables={"default": ("blog_post",)},
    finds=("DBM302 blog on default",),
)

CASES = (
    new_field,
    new_field.twin(
        "the same field with its migration",
        {
            "== blog/migrations/0001": """== blog/migrations/0002_text.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]
        operations = [migrations.AddField("post", "text", models.TextField(default=str))]

    == blog/migrations/0001"""
        },
    ),
    new_field.twin(
        "the same field of a model that Django does not manage",
        {
            "default=str)\n": "default=str)\n\n        class Meta:\n            managed = False\n",
            "max_length=20))]": 'max_length=20))], options={"managed": False}',
        },
    ),
    abstract,
    abstract.twin(
        "the same base with both migrations",
        {
            '("Post", [ID]': '("Post", [ID, ("written_on", models.DateField(null=True))]',
            '("Page", [ID]': '("Page", [ID, ("written_on", models.DateField(null=True))]',
        },
    ),
    proxy,
    proxy.twin(
        "the same proxy in a migration",
        {
            "max_length=20))])]": 'max_length=20))]), migrations.CreateModel("Draft", [], options={"proxy": True}, bases=("blog.post",))]'
        },
    ),
    installed,
    installed.twin(
        "the same installed app with a setting of its own",
        {"pass": "id = models.AutoField(primary_key=True, auto_created=True, verbose_name='ID', serialize=False)"},
    ),
    empty_package,
    two_leaves,
    two_leaves.twin(
        "the same branches, merged",
        {
            "== weblog/migrations/0002_one.py": """== weblog/migrations/0003_merge.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0002_one"), ("blog", "0002_two")]

    == weblog/migrations/0002_one.py"""
        },
    ),
    before_dependency,
    before_dependency.twin(
        "the same with both recorded, the later one first",
        recorded={"default": "shop.0001_initial blog.0001_initial"},
        tables={"default": ("shop_product", "blog_post")},
    ),
    put_before,
    put_before.twin("the same on a database where nothing is recorded", recorded={}, tables={}),
    unmigrated,
    unmigrated.twin(
        "an app whose models have no table of their own",
        {
            "pass": "class Meta:\n            abstract = True\n\n    class View(models.Model):\n        class Meta:\n            managed = False"
        },
    ),
    unmigrated_table,
    no_package,
    no_package.twin("the same folder with its __init__.py", {"absent": ""}),
    switched_off,
    ahead,
    ahead.twin(
        "the same database after the code came",
        {
            "== blog/migrations/0001": """== blog/migrations/0002_later.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]

    == blog/migrations/0001"""
        },
    ),
    ahead.twin(
        "rows of an app that is gone, one of them twice",
        recorded={"default": "polls.0001_initial polls.0002_x polls.0002_x blog.0001_initial"},
        finds=("DBM302 polls on default (note)",),
    ),
    ahead.twin("rows twice of what is there", recorded={"default": "blog.0001_initial blog.0001_initial"}),
    Case(
        "migrations that were squashed and deleted in one go, before the squashed one is recorded",
        SQUASHED,
        aliases=ONE,
        recorded={"default": "blog.0001_initial blog.0002_text"},
        tables={"default": ("blog_post",)},
    ),
    Case(
        "a squashed migration that is recorded beside what it replaces",
        SQUASHED,
        aliases=ONE,
        recorded={"default": "blog.0001_initial blog.0002_text blog.0001_squashed_0002_text"},
        tables={"default": ("blog_post",)},
    ),
    Case(
        "what was squashed away, with its rows still there",
        SQUASHED.replace('        replaces = [("blog", "0001_initial"), ("blog", "0002_text")]\n', ""),
        aliases=ONE,
        recorded={"default": "blog.0001_initial blog.0002_text blog.0001_squashed_0002_text"},
        tables={"default": ("blog_post",)},
        finds=("DBM302 blog on default (note)",),
    ),
    Case(
        "what was squashed away in the middle of a history, with its rows still there",
        """
    == blog/models.py
    class Post(models.Model):
        text = models.TextField()

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Post", [ID])]

    == blog/migrations/0002_squashed_0003_text.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]
        operations = [migrations.AddField("post", "text", models.TextField(default=""), preserve_default=False)]
    """,
        aliases=ONE,
        recorded={"default": "blog.0001_initial blog.0002_a blog.0003_text blog.0002_squashed_0003_text"},
        tables={"default": ("CREATE TABLE blog_post (id integer PRIMARY KEY, text text NOT NULL)",)},
        finds=("DBM302 blog on default (note)",),
    ),
    Case(
        "what was squashed away and pruned",
        SQUASHED.replace('        replaces = [("blog", "0001_initial"), ("blog", "0002_text")]\n', ""),
        aliases=ONE,
        recorded={"default": "blog.0001_squashed_0002_text"},
        tables={"default": ("blog_post",)},
    ),
)
