"""Projects as they come from the field: each is the smallest form of one that somebody reported."""

from dataclasses import replace

from support.corpus import Case

ITEM = """
    == {0}/models.py
    class Item(models.Model):
        pass

    == {0}/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Item", [ID])]
    """

by_exclusion = Case(
    "a router that says False wherever a model does not live, and never True",
    ITEM.format("blog")
    + ITEM.format("shop")
    + """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return False if (db == "blog_db") != (app_label == "blog") else None
    """,
)

OLDER_SITE = 'DATABASES["legacy"] = dict(DATABASES["default"], NAME=BASE / "legacy.sqlite3")  # <- DBM206 on legacy'

older_site = Case(
    "an older site with tables of the same names, read by its alias",
    ITEM.format("shop"),
    settings=OLDER_SITE,
    aliases=("default",),
    contrib=("django.contrib.auth", "django.contrib.contenttypes"),
    tables={"legacy": ("auth_user", "auth_group", "shop_item")},
)

NEEDS_USERS = """
    == blog/models.py
    class Post(models.Model):
        pass

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("users", "__first__")]
        operations = [migrations.CreateModel("Post", [ID])]

    == users/models.py
    class User(models.Model):{}
        pass
    """

OTHER_BRANCH = """
    == shop/models.py
    class Item(models.Model):{}
        size = models.IntegerField(null=True)

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Item", [ID])]

    == shop/migrations/0002_size.py
    class Migration(migrations.Migration):
        dependencies = [("shop", "0001_initial")]
        operations = [migrations.AddField("item", "size", models.IntegerField(null=True))]
    """
COLOURED = "CREATE TABLE shop_item (id integer PRIMARY KEY, colour varchar(9) {}, size integer)"

other_branch = Case(
    "a column of another branch that every row must have, applied before this branch's own migration",
    OTHER_BRANCH.format("  # <- DBM306 shop on default"),
    aliases=("default",),
    recorded={"default": "shop.0001_initial shop.0002_colour shop.0002_size"},
    tables={"default": (COLOURED.format("NOT NULL"),)},
    finds=("DBM302 shop on default",),
)

MEMORY = 'DATABASES["default"]["NAME"] = ":memory:"'

in_memory = Case(
    "an app on a database in memory",
    ITEM.format("blog"),
    rules={"blog": "blog_db"},
    settings='DATABASES["blog_db"]["NAME"] = ":memory:"',
)

read_only = Case(
    "a file that is opened for reading and lacks a table that is recorded there",
    ITEM.format("blog").replace(
        "class Migration(migrations.Migration):", "class Migration(migrations.Migration):  # <- DBM301 blog on blog_db"
    ),
    rules={"blog": "blog_db"},
    settings='DATABASES["blog_db"]["NAME"] = f"file:{BASE}/blog.sqlite3?mode=ro"',
    recorded={"blog_db": "blog.0001_initial"},
)

shuffled = Case(
    "choices that are made from a set, and a set of permissions",
    """
    == shop/constants.py
    SIZES = {"s", "m", "l"}
    PAIRS = [(size, size.upper()) for size in SIZES]

    == shop/models.py
    from .constants import PAIRS, SIZES

    def pairs():
        return tuple((size, size) for size in SIZES)

    class Item(models.Model):  # <- DBM105 shop
        size = models.CharField(max_length=9, choices=PAIRS)  # <- DBM105 shop
        other = models.CharField(max_length=9, choices=pairs())  # <- DBM105 shop
        third = models.CharField(max_length=9, choices={("a", "A"), ("b", "B")})  # <- DBM105 shop
        stable = models.CharField(max_length=9, choices=sorted(PAIRS))

        class Meta:
            permissions = [*((size, size) for size in SIZES)]

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        initial = True
        operations = [migrations.CreateModel("Item", [ID])]
    """,
    aliases=("default",),
    options=("--select", "DBM105"),
)

called = Case(
    "defaults that are called when the class is made",
    """
    == shop/models.py
    import random
    import uuid
    from datetime import date

    from django.core.validators import MaxValueValidator
    from django.utils import timezone

    class Item(models.Model):
        made = models.DateTimeField(default=timezone.now())  # <- DBM105 shop
        day = models.DateField(default=date.today())  # <- DBM105 shop
        key = models.CharField(max_length=36, default=str(uuid.uuid4()))  # <- DBM105 shop
        dice = models.IntegerField(default=random.randint(1, 6))  # <- DBM105 shop
        year = models.IntegerField(default=1, validators=[MaxValueValidator(date.today().year)])  # <- DBM105 shop

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        initial = True
        operations = [migrations.CreateModel("Item", [ID])]
    """,
    aliases=("default",),
    options=("--select", "DBM105"),
)

CASES: tuple[Case, ...] = (
    in_memory,
    in_memory.twin("the only database in memory", aliases=("default",), rules={}, settings=MEMORY),
    read_only,
    read_only.twin("a file that is opened for reading and has its table", tables={"blog_db": ("blog_item",)}),
    shuffled,
    shuffled.twin(
        "the same in an order that somebody wrote, and sets whose order counts for nothing",
        {
            'SIZES = {"s", "m", "l"}': 'SIZES = ("s", "m", "l")',
            'choices={("a", "A"), ("b", "B")}': "choices=[(x, x) for x in {1, 2, 3}]",
            "choices=sorted(PAIRS)": "default=len({*SIZES}), choices=sorted({(x, x) for x in frozenset(SIZES)})",
        },
    ),
    called,
    called.twin(
        "the same with the functions themselves, and with values that only look like it",
        {
            "default=timezone.now()": "default=timezone.now",
            "default=date.today()": "default=date(2026, 11, 27)",
            "default=str(uuid.uuid4())": 'default=str(uuid.uuid5(uuid.NAMESPACE_DNS, "example.com"))',
            "random.randint(1, 6)": "random.Random(7).randint(1, 6)",
            "date.today().year": "date.max.year",
        },
    ),
    other_branch,
    other_branch.twin(
        "the same where the database has a default for it",
        tables={"default": (COLOURED.format("NOT NULL DEFAULT 'red'"),)},
        finds=("DBM302 shop on default",),
    ),
    other_branch.twin(
        "a column that no record accounts for",
        {"# <- DBM306 shop on default": ""},
        recorded={"default": "shop.0001_initial shop.0002_size"},
        tables={"default": (COLOURED.format(""),)},
    ),
    other_branch.twin(
        "the same with an unmanaged model of that table which knows the column",
        {
            "size = models.IntegerField(null=True)\n\n    ==": """size = models.IntegerField(null=True)

    class Coloured(models.Model):
        colour = models.CharField(max_length=9)

        class Meta:
            managed = False
            db_table = "shop_item"

    ==""",
            '[migrations.CreateModel("Item", [ID])]': """[
            migrations.CreateModel("Item", [ID]),
            migrations.CreateModel(
                "Coloured",
                [ID, ("colour", models.CharField(max_length=9))],
                options={"managed": False, "db_table": "shop_item"},
            ),
        ]""",
        },
        recorded={"default": "shop.0001_initial shop.0002_size"},
    ),
    by_exclusion,
    by_exclusion.twin(
        "the same router, which refuses the default database alone",
        {'(db == "blog_db") != (app_label == "blog")': 'app_label == "blog" and db == "default"'},
    ),
    older_site,
    replace(
        older_site,
        name="the same where the older site was Django too, and its history is not in order",
        recorded={"legacy": "auth.0001_initial shop.0001_initial"},
    ),
    Case(
        "an app with an empty migrations package, on which a migration of another app depends",
        NEEDS_USERS.format("  # <- DBM101 users") + "\n    == users/migrations/__init__.py\n",
        aliases=("default",),
    ),
    Case(
        "an app without a migrations package and without tables, on which a migration of another app depends",
        NEEDS_USERS.format("  # <- DBM104 users (error)"),
        aliases=("default",),
    ),
    Case(
        "the same where its table was made by other means",
        NEEDS_USERS.format("  # <- DBM104 users"),
        aliases=("default",),
        tables={"default": ("users_user",)},
    ),
    Case(
        "MIGRATION_MODULES with a module that is not there",
        NEEDS_USERS.format("  # <- DBM101 users"),
        settings='MIGRATION_MODULES = {"users": "blog.of_users"}',
        aliases=("default",),
    ),
)
