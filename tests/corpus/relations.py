"""DBM201: foreign keys into another database, in disguise."""

from support.corpus import Case

BLOG_APART = {"blog": "blog_db"}

PERSON = """
    == people/models.py
    class Person(models.Model):
        name = models.CharField(max_length=20)

    == people/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Person", [ID, ("name", models.CharField(max_length=20))])]
    """

plain = Case(
    "a foreign key to a model of another app",
    f"""{PERSON}
    == blog/models.py
    class Post(models.Model):
        author = models.ForeignKey("people.Person", CASCADE)  # <- DBM201 blog, people on blog_db

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [ID, ("author", models.ForeignKey("people.Person", CASCADE))]),
        ]
    """,
    rules=BLOG_APART,
)

swappable = Case(
    "a foreign key to the user model that replaces Django's",
    """
    == accounts/models.py
    class User(models.Model):
        name = models.CharField(max_length=20, unique=True)
        USERNAME_FIELD = "name"
        REQUIRED_FIELDS = []
        is_anonymous = is_authenticated = True

    == accounts/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("User", [ID, ("name", models.CharField(max_length=20, unique=True))])]

    == blog/models.py
    from django.conf import settings

    class Post(models.Model):
        author = models.ForeignKey(settings.AUTH_USER_MODEL, CASCADE)  # <- DBM201 blog, accounts on blog_db

    == blog/migrations/0001_initial.py
    from django.conf import settings

    class Migration(migrations.Migration):
        dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
        operations = [
            migrations.CreateModel("Post", [ID, ("author", models.ForeignKey(settings.AUTH_USER_MODEL, CASCADE))]),
        ]
    """,
    rules=BLOG_APART,
    settings='AUTH_USER_MODEL = "accounts.User"',
)

many_to_many = Case(
    "a many-to-many field, whose table nobody wrote",
    f"""{PERSON}
    == blog/models.py
    class Post(models.Model):
        readers = models.ManyToManyField("people.Person")  # <- DBM201 blog, people on blog_db

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [ID, ("readers", models.ManyToManyField("people.Person"))]),
        ]
    """,
    rules=BLOG_APART,
)

explicit_through = Case(
    "a through table of the project's own",
    f"""{PERSON}
    == blog/models.py
    class Post(models.Model):
        readers = models.ManyToManyField("people.Person", through="Reading")

    class Reading(models.Model):
        post = models.ForeignKey(Post, CASCADE)
        reader = models.ForeignKey(  # <- DBM201 blog, people on blog_db
            "people.Person",
            on_delete=CASCADE,
        )

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [ID]),
            migrations.CreateModel("Reading", [
                ID,
                ("post", models.ForeignKey("blog.Post", CASCADE)),
                ("reader", models.ForeignKey("people.Person", on_delete=CASCADE)),
            ]),
            migrations.AddField("Post", "readers", models.ManyToManyField("people.Person", through="blog.Reading")),
        ]
    """,
    rules=BLOG_APART,
)

abstract_base = Case(
    "an abstract base in a package that is no app",
    f"""{PERSON}
    == shared/bases.py
    from django.db import models

    class Authored(models.Model):
        author = models.ForeignKey("people.Person", models.CASCADE)  # <- DBM201 blog, people on blog_db

        class Meta:
            abstract = True

    == news/models.py
    from shared.bases import Authored

    class Item(Authored):
        pass

    == news/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Item", [ID, ("author", models.ForeignKey("people.Person", CASCADE))]),
        ]

    == blog/models.py
    from shared.bases import Authored

    class Post(Authored):
        pass

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [ID, ("author", models.ForeignKey("people.Person", CASCADE))]),
        ]
    """,
    rules=BLOG_APART,
)

proxy = Case(
    "a foreign key to a proxy of a model that is elsewhere",
    f"""{PERSON}
    == blog/models.py
    from people.models import Person

    class Author(Person):
        class Meta:
            proxy = True

    class Post(models.Model):
        author = models.ForeignKey(Author, CASCADE)  # <- DBM201 blog, people on blog_db

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Author", [], options={{"proxy": True}}, bases=("people.person",)),
            migrations.CreateModel("Post", [ID, ("author", models.ForeignKey("blog.Author", CASCADE))]),
        ]
    """,
    rules=BLOG_APART,
)

child = Case(
    "a model that inherits from one with a table of its own",
    f"""{PERSON}
    == blog/models.py
    from people.models import Person

    class Author(Person):  # <- DBM201 blog, people on blog_db
        pen_name = models.CharField(max_length=20)

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel(
                "Author",
                [
                    ("person_ptr", models.OneToOneField(
                        "people.Person", CASCADE, auto_created=True, parent_link=True, primary_key=True,
                        serialize=False,
                    )),
                    ("pen_name", models.CharField(max_length=20)),
                ],
                bases=("people.person",),
            ),
        ]
    """,
    rules=BLOG_APART,
)

other_label = Case(
    "a one-to-one field of an app with a label unlike its package",
    f"""{PERSON}
    == legacy_blog/apps.py
    from django.apps import AppConfig

    class LegacyBlogConfig(AppConfig):
        name = "legacy_blog"
        label = "blog"

    == legacy_blog/models.py
    class Author(models.Model):
        person = models.OneToOneField("people.Person", CASCADE)  # <- DBM201 blog, people on blog_db

        class Meta:
            db_table = "writers"

    == legacy_blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel(
                "Author", [ID, ("person", models.OneToOneField("people.Person", CASCADE))], {{"db_table": "writers"}}
            ),
        ]
    """,
    rules=BLOG_APART,
    settings='INSTALLED_APPS = ["people", "legacy_blog.apps.LegacyBlogConfig"]',
)

generic = Case(
    "the content type behind a generic relation",
    """
    == blog/models.py
    from django.contrib.contenttypes.fields import GenericForeignKey
    from django.contrib.contenttypes.models import ContentType

    class Remark(models.Model):
        kind = models.ForeignKey(ContentType, CASCADE)  # <- DBM201 blog, contenttypes on blog_db
        number = models.PositiveIntegerField()
        about = GenericForeignKey("kind", "number")

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("contenttypes", "0002_remove_content_type_name")]
        operations = [
            migrations.CreateModel("Remark", [
                ID,
                ("kind", models.ForeignKey("contenttypes.ContentType", CASCADE)),
                ("number", models.PositiveIntegerField()),
            ]),
        ]
    """,
    rules=BLOG_APART,
    contrib=("django.contrib.contenttypes",),
)

BOTH_ROUTER = """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return app_label == "contenttypes" or db == ("blog_db" if app_label == "blog" else "default")
    """

database_operation = Case(
    "a database operation with a constraint that the state does not have",
    f"""{PERSON}
    == blog/models.py
    class Post(models.Model):
        author = models.ForeignKey("people.Person", CASCADE, db_constraint=False)

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [ID]),
            migrations.SeparateDatabaseAndState(
                database_operations=[
                    migrations.RunSQL("SELECT 1", "SELECT 1"),
                    migrations.AddField(
                        "Post",
                        "author",  # <- DBM201 blog, people on blog_db
                        models.ForeignKey("people.Person", CASCADE),
                    ),
                ],
                state_operations=[
                    migrations.AddField(
                        "Post",
                        "author",
                        models.ForeignKey("people.Person", CASCADE, db_constraint=False),
                    ),
                ],
            ),
        ]
    """,
    rules=BLOG_APART,
)

squashed = Case(
    "a squashed migration that still changes the field it has just made",
    f"""{PERSON}
    == blog/models.py
    class Post(models.Model):
        author = models.ForeignKey("people.Person", CASCADE, null=True)  # <- DBM201 blog, people on blog_db

    == blog/migrations/0001_squashed_0003.py
    class Migration(migrations.Migration):
        replaces = [("blog", "0001_initial"), ("blog", "0002_fill"), ("blog", "0003_null")]
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [ID, ("author", models.ForeignKey("people.Person", CASCADE))]),
            migrations.RunSQL("SELECT 1", "SELECT 1"),
            migrations.AlterField("Post", "author", models.ForeignKey("people.Person", CASCADE, null=True)),
        ]
    """,
    rules=BLOG_APART,
)

altered = Case(
    "a foreign key that a later migration changes, and not its constraint",
    f"""{PERSON}
    == blog/models.py
    class Post(models.Model):
        author = models.ForeignKey("people.Person", CASCADE, null=True)  # <- DBM201 blog, people on blog_db

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [ID, ("author", models.ForeignKey("people.Person", CASCADE))]),
        ]

    == blog/migrations/0002_null.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]
        operations = [migrations.AlterField("post", "author", models.ForeignKey("people.Person", CASCADE, null=True))]
    """,
    rules=BLOG_APART,
)

renamed = Case(
    "a foreign key whose field and model got other names since",
    f"""{PERSON}
    == blog/models.py
    class Article(models.Model):
        writer = models.ForeignKey("people.Person", CASCADE)  # <- DBM201 blog, people on blog_db

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [ID, ("author", models.ForeignKey("people.Person", CASCADE))]),
        ]

    == blog/migrations/0002_rename.py
    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial")]
        operations = [
            migrations.RenameField("post", "author", "writer"),
            migrations.RenameModel("Post", "Article"),
        ]
    """,
    rules=BLOG_APART,
)

by_model = Case(
    "an app that its router splits by model",
    """
    == routers.py
    class Router:
        models = {"order": "orders_db"}

        def allow_migrate(self, db, app_label, model_name=None, **hints):
            return db == self.models.get(model_name, "default")

    == shop/models.py
    class Product(models.Model):
        pass

    class Order(models.Model):
        product = models.ForeignKey(Product, CASCADE, related_name="+")  # <- DBM201 shop on orders_db

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Product", [ID]),
            migrations.CreateModel("Order", [
                ID,
                ("product", models.ForeignKey("shop.Product", CASCADE, related_name="+")),
            ]),
        ]
    """,
    aliases=("default", "orders_db"),
)

through_by_model = Case(
    "an automatic table of which the router never heard, beside its model",
    """
    == routers.py
    class Router:
        models = {"order": "orders_db"}

        def allow_migrate(self, db, app_label, model_name=None, **hints):
            return db == self.models.get(model_name, "default")

    == shop/models.py
    class Product(models.Model):
        pass

    class Order(models.Model):
        products = models.ManyToManyField(Product)  # <- DBM201 shop on orders_db

    == shop/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Product", [ID]),
            migrations.CreateModel("Order", [ID, ("products", models.ManyToManyField("shop.Product"))]),
        ]
    """,
    aliases=("default", "orders_db"),
)

two_homes = Case(
    "an app on two databases, of which neither has the users",
    plain.files.replace("on blog_db", "on eu, us")
    + """
    == routers.py
    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return (db in ("eu", "us")) == (app_label == "blog")
    """,
    aliases=("default", "eu", "us"),
)

by_rules = Case(
    "an app that rules alone put elsewhere",
    plain.files,
    settings='DATABASE_ROUTING_RULES = {"blog": "blog_db"}  # <- DBM203 blog',
)

unwritten = Case(
    "a field that is in no migration yet",
    f"""{PERSON}
    == blog/models.py
    class Post(models.Model):  # <- DBM101 blog
        author = models.ForeignKey("people.Person", CASCADE, null=True)  # <- DBM201 blog, people on blog_db

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Post", [ID])]
    """,
    rules=BLOG_APART,
)

applied = Case(
    "a foreign key of which the migration is applied already",
    plain.files.replace("on blog_db", "on blog_db (goes on)"),
    rules=BLOG_APART,
    recorded={"default": "people.0001_initial", "blog_db": "people.0001_initial blog.0001_initial"},
    tables={"default": ("people_person",), "blog_db": ("blog_post",)},
)

only_in_migration = Case(
    "a constraint that only the migration has, and that stays",
    f"""{PERSON}
    == blog/models.py
    class Post(models.Model):  # <- DBM101 blog
        author = models.ForeignKey("people.Person", CASCADE, db_constraint=False)

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [
            migrations.CreateModel("Post", [
                ID,
                ("author", models.ForeignKey("people.Person", CASCADE)),  # <- DBM201 blog, people on blog_db
            ]),
        ]
    """,
    rules=BLOG_APART,
)

own_field = Case(
    "a field class of the project's own, added outside of the class",
    f"""{PERSON}
    == blog/fields.py
    from django.db import models

    class PersonField(models.ForeignKey):
        def __init__(self, to="people.Person", on_delete=models.CASCADE, **more):
            super().__init__(to, on_delete, **more)

    == blog/models.py
    from blog.fields import PersonField

    class Post(models.Model):  # <- DBM201 blog, people on blog_db
        pass

    PersonField().contribute_to_class(Post, "author")

    == blog/migrations/0001_initial.py
    from blog.fields import PersonField

    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial")]
        operations = [migrations.CreateModel("Post", [ID, ("author", PersonField())])]
    """,
    rules=BLOG_APART,
)

run_before = Case(
    "a migration of the app that is pointed to, put before by run_before",
    """
    == people/models.py
    class Person(models.Model):
        name = models.CharField(max_length=20)

    == people/migrations/0001_initial.py
    class Migration(migrations.Migration):
        run_before = [("blog", "0001_initial")]
        operations = [migrations.CreateModel("Person", [ID, ("name", models.CharField(max_length=20))])]

    == blog/models.py
    class Post(models.Model):
        author = models.ForeignKey("people.Person", CASCADE)  # <- DBM201 blog, people on blog_db

    == blog/migrations/0001_initial.py
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Post", [ID, ("author", models.ForeignKey("people.Person", CASCADE))]),
        ]
    """,
    rules=BLOG_APART,
)

APART = '"people.Person", CASCADE, db_constraint=False'

DOCS_ROUTER = """
    == routers.py
    class BlogRouter:
        def allow_migrate(self, db, app_label, **hints):
            return db == "blog_db" if app_label == "blog" else None
    """

CASES = (
    plain,
    plain.twin("the same without the constraint", {'"people.Person", CASCADE': APART}),
    plain.twin("the same on one database", rules={"blog": "default"}, aliases=("default",)),
    plain.twin(
        "the same where the other table is really there, and nobody refuses it",
        {"== blog/models.py": f"{DOCS_ROUTER.strip()}\n\n    == blog/models.py"},
        rules=None,
        tables={"blog_db": ("people_person",)},
    ),
    plain.twin("the same where a copy of the other table is really there", tables={"blog_db": ("people_person",)}),
    Case(
        "the same with a router that answers for its own app only",
        plain.files + DOCS_ROUTER,
    ),
    applied,
    swappable,
    swappable.twin(
        "the user model on the database of those who point to it", rules={"blog": "blog_db", "accounts": "blog_db"}
    ),
    swappable.twin(
        "the user model elsewhere, without a constraint", {"_MODEL, CASCADE": "_MODEL, CASCADE, db_constraint=False"}
    ),
    many_to_many,
    many_to_many.twin(
        "the same many-to-many field without constraints",
        {'Field("people.Person"': 'Field("people.Person", db_constraint=False'},
    ),
    explicit_through,
    explicit_through.twin(
        "the same through table without the constraint",
        {"on_delete=CASCADE": "on_delete=CASCADE, db_constraint=False"},
    ),
    abstract_base,
    abstract_base.twin("the same base where only the app at home uses it", rules={"people": "default"}),
    proxy,
    proxy.twin("a proxy of a model on the same database", rules={"blog": "blog_db", "people": "blog_db"}),
    child,
    child.twin("parent and child on one database", rules={"blog": "blog_db", "people": "blog_db"}),
    other_label,
    other_label.twin(
        "routed by the name of the package, which the router does not know", rules={"legacy_blog": "blog_db"}
    ),
    generic,
    generic.twin(
        "content types on every database",
        {"== blog/models.py": f"{BOTH_ROUTER.strip()}\n\n    == blog/models.py"},
        rules=None,
    ),
    generic.twin(
        "a generic relation without a constraint",
        {
            "ContentType, CASCADE": "ContentType, CASCADE, db_constraint=False",
            'ContentType", CASCADE': 'ContentType", CASCADE, db_constraint=False',
        },
    ),
    database_operation,
    database_operation.twin(
        "a constraint in the state alone is none in the database",
        {
            'models.ForeignKey("people.Person", CASCADE),\n': 'models.ForeignKey("people.Person", CASCADE, db_constraint=False),\n'
        },
    ),
    squashed,
    squashed.twin("the same squashed migration on one database", rules={"people": "default"}),
    altered,
    altered.twin(
        "a later migration that takes the constraint back, where SQLite makes none before the end",
        {"null=True": "null=True, db_constraint=False"},
    ),
    renamed,
    renamed.twin("the same names on one database", rules={"people": "default"}),
    by_model,
    by_model.twin(
        "the same split without the constraint", {'related_name="+"': 'related_name="+", db_constraint=False'}
    ),
    through_by_model,
    through_by_model.twin(
        "the same automatic table without constraints, which is no model that belongs nowhere",
        {
            "ManyToManyField(Product": "ManyToManyField(Product, db_constraint=False",
            'Field("shop.Product"': 'Field("shop.Product", db_constraint=False',
        },
    ),
    by_rules,
    two_homes,
    two_homes.twin(
        "an app on all databases, and what it points to as well",
        {'return (db in ("eu", "us")) == (app_label == "blog")': "return True"},
    ),
    unwritten,
    unwritten.twin(
        "the same field of a model whose table is made by others",
        {
            "class Post(models.Model):": "class Post(models.Model):\n        class Meta:\n            managed = False\n",
            "[ID])]": '[ID], options={"managed": False})]',
        },
    ),
    only_in_migration,
    own_field,
    run_before,
    run_before.twin("the same where both are at home", rules={"people": "default"}),
)
