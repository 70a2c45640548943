"""Keep a step that applies migrations from undoing any.

`migrate APP NAME` goes backwards where NAME is applied: somebody may have migrated the database, without our lock,
since the step was planned.
"""

import functools

from ..boot import patch_on_import


def arrange():
    """Refuse to undo migrations from now on; Django need not be imported yet."""
    patch_on_import("django.db.migrations.executor", _patch_executor)


def _patch_executor(module):
    from django.core.management.base import CommandError

    migrate = module.MigrationExecutor.migrate

    @functools.wraps(migrate)
    def forward(self, targets, plan=None, *arguments, **keywords):
        undone = ["{}.{}".format(one.app_label, one.name) for one, backwards in plan or () if backwards]
        if undone:
            raise CommandError(
                "the database was migrated further meanwhile, and this would undo {}; nothing was done".format(
                    ", ".join(undone)
                )
            )
        return migrate(self, targets, plan, *arguments, **keywords)

    module.MigrationExecutor.migrate = forward
