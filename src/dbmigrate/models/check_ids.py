"""The ids of the checks that other code than a check's own speaks of; docs/checks.md has a section for each."""

from typing import Final

MODEL_CHANGES: Final = "DBM101"
CONFLICTS: Final = "DBM102"
UNMIGRATED_APPS: Final = "DBM104"
CROSS_DATABASE_RELATIONS: Final = "DBM201"
MUTUAL_NEEDS: Final = "DBM210"
MISSING_TABLES: Final = "DBM301"
HALF_DONE_MIGRATIONS: Final = "DBM303"
DANGERS: Final = "DBM304"
ALREADY_THERE: Final = "DBM307"
PHASES: Final = "DBM401"
PHASES_BEHIND: Final = "DBM402"
REFUSED_INSERTS: Final = "DBM404"
