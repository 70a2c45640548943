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

CASES: tuple[Case, ...] = (
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
)
