"""Write what a release takes from the program and the documents: manual page, completions, bill, schema, llms.txt.

python .ci/release/write_generated.py            write the files
python .ci/release/write_generated.py --check    exit 1 if one of them is not what would be written
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bill_of_materials import bill_of_materials
from llms_txt import contents_for_models
from man_page import manual_page
from settings_schema import settings_schema

ROOT = Path(__file__).resolve().parents[2]
COMPLETIONS = {
    "bash": "bash-completion/completions/dbmigrate",
    "zsh": "zsh/site-functions/_dbmigrate",
    "fish": "fish/vendor_completions.d/dbmigrate.fish",
}


def files() -> dict[str, str]:
    """Return every generated file, by its path in the repository."""
    return {
        ".ci/release/share/man/man1/dbmigrate.1": manual_page(),
        ".ci/release/dbmigrate.cdx.json": bill_of_materials(ROOT / "pyproject.toml"),
        "docs/schema/settings.json": settings_schema(),
        "docs/llms.txt": contents_for_models(ROOT),
        **{f".ci/release/share/{name}": _completion(shell) for shell, name in COMPLETIONS.items()},
    }


def _completion(shell: str) -> str:
    command = [sys.executable, "-m", "dbmigrate", "completion", shell]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout


def main() -> None:
    """Write the files, or compare them with what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    arguments = parser.parse_args()
    differ = []
    for name, text in files().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        differ.append(name)
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in differ:
        print(f"{name} {'differs: run make docs ARGS=--tables' if arguments.check else 'written'}")
    sys.exit(1 if differ and arguments.check else 0)


if __name__ == "__main__":
    main()
