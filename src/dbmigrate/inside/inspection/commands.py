"""The project's migrate, makemigrations and squashmigrations: who provides them, and which words their parsers take."""

import argparse
import functools
import sys

from django.conf import settings
from django.core.management import get_commands, load_command_class

DESTINATIONS = {
    "migrate": {
        "--database": "database",
        "--no-input": "interactive",
        "--fake": "fake",
        "--fake-initial": "fake_initial",
        "--run-syncdb": "run_syncdb",
        "--pre-deploy": "",  # django-syzygy's, under no other name
    },
    "makemigrations": {
        "--no-input": "interactive",
        "--name": "name",
        "--empty": "empty",
        "--merge": "merge",
        "--update": "update",
        "--dry-run": "dry_run",
        "--verbosity": "verbosity",
    },
    "squashmigrations": {
        "--no-input": "interactive",
        "--no-optimize": "no_optimize",
        "--squashed-name": "squashed_name",
        "--verbosity": "verbosity",
    },
}
"""By command: the words that may be passed, and where Django's own parser puts what they say."""

WITH_VALUE = ("--database", "--name", "--squashed-name", "--verbosity")

UNLIMITED = ("*", "+", argparse.REMAINDER, argparse.PARSER)


def load_command(name):
    """Return one of Django's commands as this project has it, its own if it brings one."""
    provider = get_commands()[name]
    return load_command_class(provider, name) if isinstance(provider, str) else provider


def find_replaced_commands():
    """Return {command: module} for migrate and makemigrations where an app brings its own."""
    replaced = {}
    for command in ("migrate", "makemigrations"):
        provider = get_commands()[command]
        if provider != "django.core":
            name = provider if isinstance(provider, str) else type(provider).__module__
            replaced[command] = name
    return replaced


@functools.lru_cache(maxsize=None)
def describe_commands():
    """Return {command: models.snapshot.Command}, as their own parsers say."""
    return {name: _describe(name) for name in DESTINATIONS}


def _describe(name):
    described = {"module": get_commands()[name], "error": None}
    try:
        command = load_command(name)
        described["module"] = type(command).__module__
        described["delays"] = _delays(command)
        return dict(described, **_read_parser(command.create_parser(sys.argv[0], name), DESTINATIONS[name]))
    except (Exception, SystemExit) as error:
        text = " ".join("{}: {}".format(type(error).__name__, error).split())
        return dict(described, module=str(described["module"]), error=text)


def _delays(command):
    """Whether it is django-safemigrate's, which applies nothing that is marked to come after a deploy."""
    is_safe = any(cls.__module__.startswith("django_safemigrate.") for cls in type(command).__mro__)
    return is_safe and str(getattr(settings, "SAFEMIGRATE", "")).lower() != "disabled"


def _read_parser(parser, destinations):
    """Return what a parser takes.

    An option that was taken out with `_remove_action` is still taken, and one that another has replaced
    (conflict_handler="resolve") is not: `_option_string_actions` is what argparse itself looks into.
    """
    taken = parser._option_string_actions
    words = {word: _spell(word, destination, taken) for word, destination in destinations.items()}
    positionals = [action for action in parser._actions if not action.option_strings]
    database = taken.get(words["--database"]) if words.get("--database") else None
    return {
        "words": {word: spelled for word, spelled in words.items() if spelled is not None},
        "databases": None if database is None or database.choices is None else [str(one) for one in database.choices],
        "most_names": _most_names(positionals),
        "required": _required(parser),
        "required_names": [
            str(action.metavar or action.dest) for action in positionals if action.nargs not in ("?", "*", "...")
        ],
    }


def _spell(word, destination, taken):
    """Return the word as the parser takes it: the same, or another for the same destination; None if there is none."""
    fitting = [option for option in taken if (taken[option].nargs != 0) == (word in WITH_VALUE)]
    if word in fitting:
        return word
    for spelled in sorted(fitting, key=lambda option: (not option.startswith("--"), option)):
        action = taken[spelled]
        if action.dest == destination and _says_no(action, spelled) == (destination == "interactive"):
            return spelled
    return None


def _says_no(action, spelled):
    """Whether an option turns something off: `store_false`, or the second half of `--x/--no-x`."""
    return action.nargs == 0 and (getattr(action, "const", None) is False or spelled.startswith("--no-"))


def _most_names(positionals):
    """Return how many names the command takes (an app label, then others); None for any number.

    Where the first is about something else than an app, it takes none.
    """
    if not positionals:
        return 0
    first = positionals[0]
    if first.dest != "args" and not any("app" in str(word).lower() for word in (first.dest, first.metavar)):
        return 0
    counts = [action.nargs for action in positionals]
    if any(count in UNLIMITED for count in counts):
        return None
    return sum(count if isinstance(count, int) else 1 for count in counts)


def _required(parser):
    """Return what has to be given: each time the options of which one is needed, in all of their spellings."""
    groups = [[action] for action in parser._actions if action.required]
    groups += [group._group_actions for group in parser._mutually_exclusive_groups if group.required]
    needed = [[option for action in group for option in action.option_strings] for group in groups]
    return [options for options in needed if options]
