"""Check what is published, by running it, and print a line for each claim.

python .ci/release/check_published.py                  every line
python .ci/release/check_published.py hooks twine      the lines whose group or text has one of the words
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from check_action import ACTION
from check_hooks import HOOKS
from check_image import IMAGE
from check_package import PACKAGE
from check_repository import REPOSITORY
from claims import Claim, ReleaseFolder, SkippedError, changed

CLAIMS: list[Claim] = [*PACKAGE, *REPOSITORY, *ACTION, *HOOKS, *IMAGE]


def main() -> None:
    """Run the chosen claims; exit 1 if one failed, or one was skipped where all must run (.ci/run)."""
    differ = changed()
    if differ:
        sys.exit(f"the work tree is not what is committed, and a package is made of a commit: {', '.join(differ[:3])}")
    words = sys.argv[1:]
    chosen = [claim for claim in CLAIMS if not words or any(word in f"{claim.group} {claim.text}" for word in words)]
    failures = []
    skipped = 0
    with tempfile.TemporaryDirectory(prefix="dbmigrate-release-") as folder:
        release = ReleaseFolder(Path(folder))
        for claim in chosen:
            began = time.monotonic()
            outcome = "passed"
            try:
                claim.check(release)
            except SkippedError as why:
                outcome = "skipped"
                skipped += 1
                print(f"         {why}")
            except Exception as failed:  # a time-out, a file that is not there: the line failed, the others still count
                outcome = "failed"
                failures.append(f"{claim.group}: {claim.text}:\n{type(failed).__name__}: {failed}")
            print(f"{outcome:8} {claim.group}: {claim.text} ({time.monotonic() - began:.1f} s)", flush=True)
        for failure in failures:
            print(f"\nfailed: {failure}\n")
        # Said before the folder is removed, which takes a while: it holds some gigabytes.
        print(f"{len(chosen) - len(failures) - skipped} passed, {len(failures)} failed, {skipped} skipped", flush=True)
    must_run = bool(skipped and os.environ.get("TESTS_REQUIRE_SERVICES"))
    sys.exit(1 if failures or must_run or not chosen else 0)


if __name__ == "__main__":
    main()
