"""The guard router: it refuses what does not belong on one alias, and is asked last."""

import contextlib


class GuardRouter:
    """Answers only for its alias, and only what nobody before it had an opinion about."""

    def __init__(self, scope):
        """Keep the alias, the apps that belong there, and the answer for the others."""
        self.alias = scope["alias"]
        self.apps = scope["apps"]
        self.others = scope["others"]

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        """Return False for what does not belong on this alias; None lets Django do as it would."""
        if db != self.alias:
            return None
        if app_label not in self.apps:
            return None if self.others else False
        models = self.apps[app_label]
        # Without a model it is a RunPython or RunSQL of an app that has at least one model here.
        # makemigrations asks with the name as it was written (CamelCase), migrate in lower case.
        if models is None or (model_name is None and models) or (model_name or "").lower() in models:
            return None
        # A model of old migrations, say: routers that refuse it on the default database alone mean it to be here.
        return None if models and _refuse_on_default(app_label, model_name, hints) else False


def _refuse_on_default(app_label, model_name, hints):
    from django.db import DEFAULT_DB_ALIAS

    from .routes import RouteBook

    return RouteBook().ask(DEFAULT_DB_ALIAS, app_label, dict(hints, model_name=model_name)) == "no"


def add_router(scope):
    """Put the router behind the project's own, in this process."""
    from django.db import router

    router.routers.append(GuardRouter(scope))


@contextlib.contextmanager
def scoped(scope):
    """Have the router behind the project's own while the block runs; None changes nothing."""
    from django.db import router

    if scope is None:
        yield
        return
    added = GuardRouter(scope)
    router.routers.append(added)
    try:
        yield
    finally:
        router.routers.remove(added)
