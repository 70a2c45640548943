"""DBM206 and DBM207: databases nobody speaks for, and two names of one database."""

from support.corpus import Case

BLOG = """
    == blog/models.py
    class Item(models.Model):
        pass

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Item", [ID])]
    """

SHOP = BLOG.replace("blog/", "shop/")

DOCS_ROUTER = """
    == routers.py
    class BlogRouter:
        def allow_migrate(self, db, app_label, **hints):
            return db == "blog_db" if app_label == "blog" else None
    """

imported = Case(
    "an archive that another settings file adds, and nobody speaks for",
    BLOG
    + SHOP
    + """
    == databases.py
    from pathlib import Path

    def _sqlite(name):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / (name + ".sqlite3")}

    DATABASES = {
        "default": _sqlite("archive"),
        "blog_db": _sqlite("blog"),
        "archive": _sqlite("old"),  # <- DBM206 on archive
    }
    """
    + DOCS_ROUTER,
    settings="from databases import *",
)

linked = Case(
    "two aliases with one file by two spellings, and an app on each",
    BLOG + SHOP,
    rules={"blog": "blog_db"},
    settings="""
    DATABASES = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "one.sqlite3"},
        "blog_db": {  # <- DBM207 on default, blog_db
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"file:{BASE}/./one.sqlite3?cache=private",
            "OPTIONS": {"uri": True},
        },
    }
    """,
)

CASES = (
    imported,
    imported.twin(
        "the same archive, left out on purpose",
        {
            "== databases.py": '== pyproject.toml\n    [tool.dbmigrate]\n    exclude = ["archive"]\n\n    == databases.py'
        },
    ),
    linked,
    linked.twin("two aliases with one file, and all of it on one of them", rules={"blog": "default"}),
    Case(
        "a second name of the only database, of which the routers say the same",
        BLOG
        + """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return True
    """,
        settings='DATABASES["blog_db"] = dict(DATABASES["default"])',
    ),
)
