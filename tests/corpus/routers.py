"""DBM202 to DBM206, DBM211 and DBM212: what routers and rules say, and do not."""

from support.corpus import Case

ITEM = """
    == {0}/models.py
    class Item(models.Model):
        pass

    == {0}/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Item", [ID])]
    """
BLOG = ITEM.format("blog")
SHOP = ITEM.format("shop")

FOLLOWING_ROUTER = """
    == routers.py
    from django.conf import settings

    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return db == settings.DATABASE_ROUTING_RULES.get(app_label, "default")
    """

unknown_alias = Case(
    "a rule with a database that is misspelt",
    BLOG + SHOP + FOLLOWING_ROUTER.replace('_label, "default")', '_label, "default").replace("bd", "db")'),
    settings="""
    DATABASE_ROUTING_RULES = {
        "shop": "default",
        "blog": "blog_bd",  # <- DBM202 blog
    }
    """,
)

unknown_app = Case(
    "a rule with an app that is not installed",
    BLOG + FOLLOWING_ROUTER,
    settings="""
    DATABASE_ROUTING_RULES = {
        "blog": "blog_db",
        "weblog": "blog_db",  # <- DBM202 weblog (warning)
    }
    """,
)

disagreeing = Case(
    "a rule that the router turns round",
    BLOG
    + """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return db == "default"
    """,
    settings='DATABASE_APPS_MAPPING = {"blog": "blog_db"}  # <- DBM203 blog on blog_db',
)

SPLIT_ROUTER = """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, model_name=None, **hints):
            return False if model_name == "note" else db == "default"
    """

homeless_model = Case(
    "a model that its router refuses everywhere",
    """
    == shop/models.py
    class Item(models.Model):
        pass

    class Note(models.Model):  # <- DBM204 shop
        class Meta:
            db_table = "notes"

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Item", [ID]),
            migrations.CreateModel("Note", [ID], options={"db_table": "notes"}),
        ]
    """
    + SPLIT_ROUTER,
)

homeless_app = Case(
    "an app that its router sends to a database that is not there",
    BLOG.replace("Item(models.Model):", "Item(models.Model):  # <- DBM204 blog"),
    rules={"blog": "blog_bd"},
    aliases=("default",),
)

nobody = Case(
    "an app about which nobody has an opinion, and no default database",
    BLOG
    + SHOP.replace("Item(models.Model):", "Item(models.Model):  # <- DBM204 shop (error)")
    + """
    == routers.py
    class BlogRouter:
        def allow_migrate(self, db, app_label, **hints):
            return db == "blog_db" if app_label == "blog" else None
    """,
    settings='DATABASES["default"] = {}',
)

raising = Case(
    "a router with the parameters of old",
    BLOG
    + """
    == routers.py
    class Router:
        def allow_migrate(self, db, model):  # <- DBM205 blog on default and DBM205 blog on blog_db
            return db == "default"
    """,
)

by_class_attribute = Case(
    "a router that reads an attribute of the model's class, which the model of a migration does not have",
    BLOG.replace("        pass", '        database = "blog_db"')
    + """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, model_name=None, **hints):  # <- DBM211 blog on default (warning) and DBM211 blog on blog_db
            return db == getattr(hints.get("model"), "database", "default")
    """,
)

renamed_away = Case(
    "a router by the name of a model that had another name before",
    """
    == blog/models.py
    class Story(models.Model):
        pass

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Post", [ID])]

    == blog/migrations/0002_story.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]
        operations = [
            migrations.RenameModel("Post", "Story"),  # <- DBM212 blog on blog_db
        ]

    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, model_name=None, **hints):
            return db == ("blog_db" if model_name == "story" else "default")
    """,
)

raising_for_migrate = Case(
    "a router that insists on an attribute of the model's class",
    BLOG.replace("        pass", '        database = "blog_db"')
    + """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, **hints):  # <- DBM205 blog on default and DBM205 blog on blog_db
            return db == hints["model"].database
    """,
)

raising_for_one = Case(
    "a router that raises for one model of one app",
    BLOG
    + """
    == shop/models.py
    class Order(models.Model):
        pass

    class Product(models.Model):
        pass

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Order", [ID]), migrations.CreateModel("Product", [ID])]

    == routers.py
    class Base:
        tables = {"item": "blog_db", "order": "default"}

        def allow_migrate(self, db, app_label, model_name=None, **hints):  # <- DBM205 shop on default and DBM205 shop on blog_db
            return db == self.tables[model_name]

    class Router(Base):
        pass
    """,
)

open_database = Case(
    "a second database, and no router",
    BLOG,
    settings="""
    DATABASES["archive"] = dict(DATABASES["default"], NAME=BASE / "archive.sqlite3")  # <- DBM206 on archive
    """,
    aliases=("default",),
)

REPLICA = """
    DATABASES["blog_db"]["TEST"] = {"MIRROR": "default"}
    """

CASES = (
    unknown_alias,
    unknown_app,
    Case(
        "rules by the dotted path of an app, which the router follows",
        ITEM.format("blog")
        + """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return db == ("blog_db" if app_label == "blog" else "default")
    """,
        settings='DATABASE_ROUTING_RULES = {"blog": "blog_db"}',
    ),
    disagreeing,
    Case(
        "rules that put everything where it is anyway",
        BLOG,
        settings='DATABASE_ROUTING_RULES = {"blog": "default"}',
        aliases=("default",),
    ),
    by_class_attribute,
    by_class_attribute.twin(
        "the same router, which looks the class up",
        {
            "class Router:": "from django.apps import apps\n\n    class Router:",
            'hints.get("model")': "apps.get_model(app_label, model_name)",
        },
    ),
    by_class_attribute.twin(
        "a router that asks the model for what a migration's has too",
        {'getattr(hints.get("model"), "database", "default")': 'hints["model"].objects.db'},
    ),
    by_class_attribute.twin(
        "the same router without an opinion", {'"database", "default")': '"database", db) or None'}
    ),
    raising_for_migrate,
    renamed_away,
    renamed_away.twin("a router that knows both names", {'== "story"': 'in ("post", "story")'}),
    renamed_away.twin(
        "the same router where the table was made while it knew the old name",
        recorded={"blog_db": "blog.0001_initial"},
        tables={"blog_db": ("blog_post",)},
    ),
    renamed_away.twin(
        "a table that RunSQL makes there",
        {
            "operations = [\n": "operations = [\n            "
            'migrations.RunSQL("CREATE TABLE blog_post (id integer PRIMARY KEY)", hints={"model_name": "story"}),\n'
        },
    ),
    homeless_model,
    homeless_model.twin(
        "the same model, whose table is made by others",
        {
            '"notes"\n': '"notes"\n            managed = False\n',
            '{"db_table": "notes"}': '{"db_table": "notes", "managed": False}',
        },
    ),
    homeless_app,
    homeless_app.twin("the same app where the database is there", aliases=("default", "blog_bd")),
    nobody,
    nobody.twin(
        "an empty default, and everything on the other database", {'"blog" else None': '"blog" else db == "blog_db"'}
    ),
    raising,
    raising.twin(
        "the same router with the parameters of now",
        {"db, model)": "db, app_label, model_name=None, **hints)"},
        settings='DATABASES["blog_db"]["TEST"] = {"MIRROR": "default"}',
    ),
    raising_for_one,
    raising_for_one.twin(
        "the same router with an answer for every model",
        {"self.tables[model_name]": 'self.tables.get(model_name, "default")'},
    ),
    Case(
        "a router that looks at the model, and an app without models",
        BLOG
        + """
    == plain/apps.py
    from django.apps import AppConfig

    class PlainConfig(AppConfig):
        name = "plain"

    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, model_name, model, **hints):
            return db == ("blog_db" if model._meta.app_label == "blog" else "default")
    """,
        settings='INSTALLED_APPS = ["plain", "blog"]',
    ),
    Case(
        "a router that looks at what a model is made of, and a model that is gone",
        """
    == blog/models.py
    class Item(models.Model):
        pass

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Item", [ID]), migrations.CreateModel("Draft", [ID])]

    == blog/migrations/0002_no_drafts.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]
        operations = [migrations.DeleteModel("Draft")]

    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, model_name=None, model=None, **hints):
            if model is not None and (model._meta.parents or model._meta.abstract or not issubclass(model, object)):
                return False
            if model is not None and model._meta.concrete_model._meta.get_fields() is None:
                return False
            return db == "blog_db"
    """,
        settings='DATABASES["default"] = {}',
    ),
    Case(
        "a router that is an instance, and one without a word about migrations",
        BLOG
        + """
    == custom.py
    class Reads:
        def db_for_read(self, model, **hints):
            return "blog_db" if model._meta.app_label == "blog" else None

    class Places:
        def __init__(self, places):
            self.places = places

        def allow_migrate(self, alias, app_label, **_):
            return alias == self.places.get(app_label, "default")
    """,
        settings="""
    from custom import Places, Reads
    DATABASE_ROUTERS = [Reads(), Places({"blog": "blog_db"})]
    """,
    ),
    Case(
        "a router by the package of an app, with a label of another name",
        """
    == legacy/__init__.py
    == legacy/weblog/apps.py
    from django.apps import AppConfig

    class WeblogConfig(AppConfig):
        name = "legacy.weblog"
        label = "articles"

    == legacy/weblog/models.py
    class Item(models.Model):
        pass

    == legacy/weblog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Item", [ID])]

    == routers.py
    from django.apps import apps

    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return db == ("blog_db" if apps.get_app_config(app_label).name.startswith("legacy.") else "default")
    """,
        settings='INSTALLED_APPS = ["legacy.weblog.apps.WeblogConfig"]\nDATABASE_ROUTING_RULES = {"legacy.weblog": "blog_db"}',
    ),
    open_database,
    Case("a replica of the only database", BLOG, settings=REPLICA),
    Case(
        "a database that every router refuses",
        BLOG
        + """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return db == "default"
    """,
    ),
    Case(
        "a database that the configuration leaves out",
        BLOG
        + """
    == pyproject.toml
    [tool.dbmigrate]
    exclude = ["blog_db"]
    """,
    ),
)
