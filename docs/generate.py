"""Write what the documents take from the program: configuration, commands, the JSON Schema, captures of real runs.

python docs/generate.py             everything
python docs/generate.py --tables    without the captures, which differ in their times
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from io import StringIO
from pathlib import Path

import click

from dbmigrate import __version__
from dbmigrate.cli.root import COMMANDS, cli
from dbmigrate.config import DATABASE_KEYS, KEYS
from dbmigrate.models.json_schema import envelope_schema, line_schema

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CAPTURES = DOCS / "captures"
SAMPLE = ROOT / "fixtures" / "sample_django_project"
COLUMNS, ROWS = 90, 30
TERMINAL = {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
ESCAPES = r"\x1b\[[0-9;?]*[A-Za-z]"
PAUSE_SECONDS = 1.0
DOWN, ENTER, CONTROL_C = "\x1b[B", "\r", "\x03"
KEYS_IN_THE_MENU = (
    ("Exit", DOWN + DOWN + ENTER),
    ("Which app?", "blog" + ENTER),
    ("Up to which migration?", "0002" + ENTER),
    ("Run this plan", "y"),
    ("Exit", DOWN + DOWN + DOWN + ENTER),
    ("$ dbmigrate status", CONTROL_C),
)
BEGIN, END = "<!-- configuration -->", "<!-- end of configuration -->"
COMMANDS_BEGIN, COMMANDS_END = "<!-- commands -->", "<!-- end of commands -->"


def configuration_table() -> str:
    """Return the table of all configuration keys."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {key.default} | {key.meaning} |" for name, key in KEYS.items()]
    names = ", ".join(f"`databases.<alias>.{name}`" for name in DATABASE_KEYS)
    return "\n".join([*lines, f"| {names} | as above | the same for one database |"])


def with_configuration(text: str) -> str:
    """Return a document with the table between its marks."""
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{configuration_table()}\n{END}{rest.split(END, 1)[1]}"


def commands_reference() -> str:
    """Return a section for every command: what `--help` says of it, and its own options."""
    root = click.Context(cli, info_name="dbmigrate")
    everywhere = {parameter.name for parameter in cli.params}
    sections = [_options_table(cli.params)]
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        usage = command.collect_usage_pieces(click.Context(command, info_name=name, parent=root))
        text = (command.help or "").strip()
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        own = [parameter for parameter in command.params if parameter.name not in everywhere]
        sections.append(
            "\n\n".join(
                part
                for part in (
                    f"## dbmigrate {name}",
                    f"`dbmigrate {' '.join((name, *usage))}`",
                    *paragraphs,
                    _options_table(own),
                )
                if part
            )
        )
    return "\n\n".join(sections)


def _options_table(parameters: Sequence[click.Parameter]) -> str:
    options = [one for one in parameters if isinstance(one, click.Option) and not one.hidden]
    lines = [f"| `{_spelling(option)}` | {_in_table(option.help or '')} |" for option in options]
    return "\n".join(["| option | meaning |", "|---|---|", *lines]) if lines else ""


def _spelling(option: click.Option) -> str:
    value = "" if option.is_flag or option.count else f" {option.make_metavar(click.Context(cli))}"
    return _in_table(", ".join(option.opts) + value)


def _in_table(text: str) -> str:
    return text.replace("|", "\\|")


def with_commands(text: str) -> str:
    """Return a document with the reference of all commands between its marks."""
    head, rest = text.split(COMMANDS_BEGIN, 1)
    return f"{head}{COMMANDS_BEGIN}\n{commands_reference()}\n{COMMANDS_END}{rest.split(COMMANDS_END, 1)[1]}"


def write_tables() -> None:
    """Write the parts of the documents between marks, and the schemas."""
    for name, complete in (("configuration.md", with_configuration), ("commands.md", with_commands)):
        document = DOCS / name
        document.write_text(complete(document.read_text()))
    for name, schema in (("envelope.json", envelope_schema()), ("line.json", line_schema())):
        (DOCS / "schema" / name).write_text(schema)


def record(folder: Path, *arguments: str, keys: Sequence[tuple[str, str]] = ()) -> list[tuple[float, str]]:
    """Run a command on a terminal and return what came when; `keys`: what is pressed once a text is there."""
    import re

    import pexpect

    child = pexpect.spawn(
        str(Path(sys.executable).parent / "dbmigrate"),
        list(arguments),
        cwd=str(folder),
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **TERMINAL},
        dimensions=(ROWS, COLUMNS),
        encoding="utf-8",
        timeout=120,
    )
    began = time.monotonic()
    events: list[tuple[float, str]] = []
    waiting, since = [*keys], ""
    while True:
        try:
            text = child.read_nonblocking(65536, timeout=30)
        except pexpect.EOF:
            break
        events.append((time.monotonic() - began, text))
        since = re.sub(ESCAPES, "", since + text)
        if waiting and waiting[0][0] in since:
            time.sleep(PAUSE_SECONDS)  # for the eyes of who watches the recording
            child.send(waiting.pop(0)[1])
            since = ""
    child.close()
    return events


def write_svg(name: str, arguments: Sequence[str], events: Sequence[tuple[float, str]]) -> None:
    """Write what a command left on the screen."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text(f"$ dbmigrate {' '.join(arguments)}", style="bold"))
    console.print(Text.from_ansi(settled("".join(data for _, data in events))))
    console.save_svg(str(CAPTURES / f"{name}.svg"), title="dbmigrate")


def settled(output: str) -> str:
    """Return what stays of a terminal's output once the live view has erased itself: SGR codes are kept."""
    import re

    lines: list[str] = []
    for line in output.replace("\r\n", "\n").split("\n"):
        # The live view moves up one line and erases it for every line that it drew.
        for _ in range(line.count("\x1b[1A")):
            if lines:
                lines.pop()
        rest = line.rsplit("\x1b[2K", 1)[-1]
        lines.append(re.sub(r"\x1b\[(?![0-9;]*m)[0-9;?]*[A-Za-z]", "", rest).replace("\r", ""))
    return "\n".join(lines)


def write_captures() -> None:
    """Record plan, all, status and the menu on a copy of the sample, then check and verify on a damaged one."""
    CAPTURES.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="sample-"))
    try:
        project = Path(shutil.copytree(SAMPLE, folder / "sample"))
        cast: list[list[object]] = []
        now = 0.0
        for name in ("plan", "all", "status", "menu"):
            arguments = () if name == "menu" else (name,)
            cast.append([round(now, 3), "o", f"{' '.join(('$ dbmigrate', *arguments))}\r\n"])
            events = record(project, *arguments, keys=KEYS_IN_THE_MENU if name == "menu" else ())
            if name != "menu":
                write_svg(name, arguments, events)
            cast += [[round(now + at + 1, 3), "o", data] for at, data in events]
            now += events[-1][0] + 3
        header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "dbmigrate on three databases"}
        lines = [json.dumps(header), *(json.dumps(event) for event in cast)]
        (CAPTURES / "session.cast").write_text("\n".join(lines) + "\n")
        record(project, "all")  # what was undone in the menu
        damage(project)
        for name in ("check", "verify"):
            write_svg(name, (name,), record(project, name))
    finally:
        shutil.rmtree(folder)


def write_example() -> None:
    """Save a plan on a copy of the sample: what this version writes, for readers and for later versions."""
    import subprocess

    with tempfile.TemporaryDirectory(prefix="sample-") as folder:
        project = Path(shutil.copytree(SAMPLE, Path(folder) / "sample"))
        words = ("plan", "--database", "shop_db", "--app", "shop", "--format", "json", "-o", "plan.json")
        program = Path(sys.executable).parent / "dbmigrate"
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8"}
        subprocess.run([str(program), *words], cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
        text = (project / "plan.json").read_text()
    text = text.replace(sys.executable, "/srv/app/.venv/bin/python").replace(str(project), "/srv/app")
    (DOCS / "examples" / f"plan-{__version__}.json").write_text(text)


def damage(project: Path) -> None:
    """Let a foreign key lead into another database, and lose a table."""
    models = project / "blog" / "models.py"
    models.write_text(models.read_text().replace(", db_constraint=False", ""))
    with closing(sqlite3.connect(project / "shop.sqlite3")) as connection:
        connection.execute("DROP TABLE shop_order")
        connection.commit()


def main() -> None:
    """Write everything, or the tables alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", action="store_true", help="leave the captures as they are")
    arguments = parser.parse_args()
    write_tables()
    if not arguments.tables:
        write_captures()
        write_example()


if __name__ == "__main__":
    main()
