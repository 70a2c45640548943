"""DBM208: RunPython and RunSQL that would work on the wrong database."""

from typing import Any

from support.corpus import Case

POST = """
    == blog/models.py
    class Post(models.Model):
        title = models.CharField(max_length=20)

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Post", [ID, ("title", models.CharField(max_length=20))])]

    == blog/migrations/0002_fill.py
    {}
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]
        operations = [
            {}
        ]
    """


def fills(
    name: str, function: str, operation: str = "migrations.RunPython(fill, migrations.RunPython.noop),", **more: Any
) -> Case:
    """Return a blog of its own database with a migration that works on its rows."""
    indented = function.strip("\n").replace("\n", "\n    ")
    return Case(name, POST.format(indented, operation), **{"rules": {"blog": "blog_db"}, **more})


FOUND = "migrations.RunPython(fill, migrations.RunPython.noop),  # <- DBM208 blog on blog_db"

WITHOUT_ALIAS = """
def fill(apps, schema_editor):
    Post = apps.get_model("blog", "Post")
    Post.objects.filter(title="").update(title="none")
"""

SPLIT = """
    == shop/models.py
    class Product(models.Model):
        pass

    class Order(models.Model):
        pass

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Product", [ID]), migrations.CreateModel("Order", [ID])]

    == shop/migrations/0002_fill.py
    def fill(apps, schema_editor):
        Product = apps.get_model("shop", "Product")
        Product.objects.using(schema_editor.connection.alias).create()

    class Migration(migrations.Migration):
        dependencies = [("shop", "0001_initial")]
        operations = [
            migrations.RunPython(fill, migrations.RunPython.noop),  # <- DBM208 shop on default, orders_db
        ]

    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, model_name=None, **hints):
            if model_name is None:
                return None
            return db == ("orders_db" if model_name == "order" else "default")
    """

split = Case(
    "an app split by model, and a function of which the router cannot tell the model",
    SPLIT,
    aliases=("default", "orders_db"),
)

split_sql = Case(
    "an app split by model, and SQL without hints",
    SPLIT.replace(
        "RunPython(fill, migrations.RunPython.noop)", 'RunSQL("UPDATE shop_product SET id = id", "SELECT 1")'
    ),
    aliases=("default", "orders_db"),
)

READS = """
    == routers.py
    class Router:
        def db_for_read(self, model, **hints):
            return "blog_db" if model._meta.app_label == "blog" else "default"

        db_for_write = db_for_read

        def allow_migrate(self, db, app_label, **hints):
            return db == ("blog_db" if app_label == "blog" else "default")
    """

CASES = (
    fills("a function that says objects and no database", WITHOUT_ALIAS, FOUND),
    fills(
        "a function that asks its database by schema_editor",
        WITHOUT_ALIAS.replace("objects.", "objects.using(schema_editor.connection.alias)."),
    ),
    fills("the same function on the default database", WITHOUT_ALIAS, rules={"blog": "default"}),
    fills(
        "the same function, applied already",
        WITHOUT_ALIAS,
        recorded={"blog_db": "blog.0001_initial blog.0002_fill"},
        tables={"blog_db": ("blog_post",)},
    ),
    fills("", WITHOUT_ALIAS, rules=None).twin(
        "where the routers lead reads and writes to the database that is migrated",
        {"== blog/models.py": f"{READS.strip()}\n\n    == blog/models.py"},
    ),
    fills(
        "a function that only looks at what kind of server it is",
        """
def fill(apps, schema_editor):
    if schema_editor.connection.vendor == "oracle":
        return
    Post = apps.get_model("blog", "Post")
    for post in Post.objects.all():
        post.save()
""",
        FOUND,
    ),
    fills(
        "a helper that is given the models and not the database",
        """
def fill_titles(models):
    models.get_model("blog", "Post").objects.update(title="")

def fill(apps, schema_editor):
    fill_titles(apps)
""",
        FOUND,
    ),
    fills(
        "a helper that is given the schema editor",
        """
def fill_titles(models, editor):
    models.get_model("blog", "Post").objects.using(editor.connection.alias).update(title="")

def fill(apps, schema_editor):
    fill_titles(apps, schema_editor)
""",
    ),
    fills(
        "a function without a name",
        "",
        'migrations.RunPython(lambda apps, _: apps.get_model("blog", "Post").objects.update(title=""), migrations.RunPython.noop),  # <- DBM208 blog on blog_db',
    ),
    fills(
        "a function without a name that asks its database",
        "",
        'migrations.RunPython(lambda apps, editor: apps.get_model("blog", "Post").objects.using(editor.connection.alias).update(title=""), migrations.RunPython.noop),',
    ),
    fills(
        "a function wrapped by another",
        """
import functools

def in_peace(function):
    @functools.wraps(function)
    def wrapped(apps, schema_editor):
        return function(apps, schema_editor)
    return wrapped

@in_peace
def fill(apps, schema_editor):
    apps.get_model("blog", "Post").objects.update(title="")
""",
        FOUND,
    ),
    fills(
        "a function with its first arguments given",
        """
from functools import partial

def fill_with(title, apps, schema_editor):
    apps.get_model("blog", "Post").objects.update(title=title)
""",
        FOUND.replace("fill,", 'partial(fill_with, "x"),'),
    ),
    fills(
        "the cursor of the default connection",
        """
from django.db import connection

def fill(apps, schema_editor):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE blog_post SET title = ''")
""",
        FOUND,
    ),
    fills(
        "the cursor of the connection that is migrated",
        """
from django.db import connections

def fill(apps, schema_editor):
    with connections[schema_editor.connection.alias].cursor() as cursor:
        cursor.execute("UPDATE blog_post SET title = ''")
""",
    ),
    fills(
        "the cursor of a connection by its name",
        """
from django.db import connections

def fill(apps, schema_editor):
    with connections["blog_db"].cursor() as cursor:
        cursor.execute("UPDATE blog_post SET title = ''")
""",
    ),
    fills(
        "a command that is told no database",
        """
from django.core.management import call_command

def fill(apps, schema_editor):
    call_command("loaddata", "posts.json")
""",
        FOUND,
    ),
    fills(
        "a command that is told the database",
        """
from django.core.management import call_command

def fill(apps, schema_editor):
    call_command("loaddata", "posts.json", database=schema_editor.connection.alias)
""",
    ),
    fills(
        "a manager of the project's own",
        """
def fill(apps, schema_editor):
    Post = apps.get_model("blog", "Post")
    Post.published.filter(title="").update(title="none")
""",
        FOUND,
    ),
    fills(
        "a function inside SeparateDatabaseAndState",
        WITHOUT_ALIAS,
        f"migrations.SeparateDatabaseAndState(\n                [\n                    {FOUND}\n                ],\n            ),",
    ),
    fills(
        "a function that touches no rows",
        """
import logging

def fill(apps, schema_editor):
    logging.getLogger(__name__).info("nothing to do any more")
""",
    ),
    fills(
        "a function that goes away where it has no business",
        """
def fill(apps, schema_editor):
    if schema_editor.connection.alias != "blog_db":
        return
    apps.get_model("blog", "Post").objects.using("blog_db").update(title="")
""",
    ),
    fills(
        "statements by the schema editor",
        """
def fill(apps, schema_editor):
    schema_editor.execute("UPDATE blog_post SET title = ''")
""",
    ),
    fills("a reverse alone", "", "migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop),"),
    split,
    split.twin(
        "the same split with hints",
        {"migrations.RunPython.noop)": 'migrations.RunPython.noop, hints={"model_name": "product"})'},
    ),
    split.twin(
        "the same split with a look at the database first",
        {
            "        Product = apps": '        if schema_editor.connection.alias != "default":\n            return\n        Product = apps'
        },
    ),
    split.twin(
        "the same split, and the routers are asked",
        {
            "        Product = apps": '        from django.db import router\n        if not router.allow_migrate(schema_editor.connection.alias, "shop", model_name="product"):\n            return\n        Product = apps'
        },
    ),
    split.twin(
        "the same split, and nothing is done to rows",
        {
            'Product = apps.get_model("shop", "Product")\n': "",
            "        Product.objects.using(schema_editor.connection.alias).create()": "        print(schema_editor.connection.vendor)",
        },
    ),
    split_sql,
    split_sql.twin("the same SQL with hints", {'"SELECT 1")': '"SELECT 1", hints={"model_name": "product"})'}),
    split_sql.twin(
        "the same SQL with a hint that the router knows",
        {
            '"SELECT 1")': '"SELECT 1", hints={"database": "default"})',
            "if model_name is None:\n                return None": 'if model_name is None:\n                return db == hints.get("database", db)',
        },
    ),
    split_sql.twin(
        "the same SQL where the whole app is on both",
        {'return db == ("orders_db" if model_name == "order" else "default")': "return True"},
    ),
)
