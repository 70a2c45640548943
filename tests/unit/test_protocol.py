"""The protocol with the booted process: what the code on both sides says of it, and what is done where one differs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from dbmigrate.errors import DbmigrateError
from dbmigrate.inside import protocol
from dbmigrate.inside.protocol import FailureKind, Question
from dbmigrate.models.apps import Change, ModelAnswers, OneAnswer, Unstable, UnstableFields
from dbmigrate.models.base import Value
from dbmigrate.models.database import Database, Trouble
from dbmigrate.models.holdings import Holder, Holdings, Thing
from dbmigrate.models.migrations import Migration, UndoingOf
from dbmigrate.models.plan import GuardScope
from dbmigrate.models.result import OperationTrace
from dbmigrate.models.rooms import Room
from dbmigrate.models.servers import LockCheck, LockHolder, LockState, Reached
from dbmigrate.models.sql import MigrationSql
from dbmigrate.models.target import Choice, Target
from dbmigrate.models.verification import VerifiedDatabase
from dbmigrate.project.failures import SHAPES, explain
from dbmigrate.project.replies import ReplyError, find_misfit, read_booted, read_reply
from dbmigrate.redact import Redactor

INSIDE = Path(protocol.__file__).parent

MODELS: dict[Any, type[Value]] = {
    protocol.ChangeReply: Change,
    protocol.FindUnstableReply: UnstableFields,
    protocol.UnstableReply: Unstable,
    protocol.MigrationSqlReply: MigrationSql,
    protocol.Thing: Thing,
    protocol.DescribeHoldingsReply: Holdings,
    protocol.HolderReply: Holder,
    protocol.ReachedReply: Reached,
    protocol.RoomReply: Room,
    protocol.OperationTraceReply: OperationTrace,
    protocol.ModelAnswersReply: ModelAnswers,
    protocol.OneAnswerReply: OneAnswer,
    protocol.VerifiedDatabaseReply: VerifiedDatabase,
    protocol.LockReply: LockState,
    protocol.LockHolderReply: LockHolder,
    protocol.LockCheckReply: LockCheck,
    protocol.MigrationReply: Migration,
    protocol.UndoingReply: UndoingOf,
    protocol.GuardScope: GuardScope,
}
"""What has a type in the protocol and a model on our side."""


@pytest.fixture
def target(tmp_path: Path) -> Target:
    names = ("project", "manage", "python", "settings")
    choices = {name: Choice(str(tmp_path / "manage.py"), "a test") for name in names}
    return Target(
        root=tmp_path, manage=("manage.py",), python=sys.executable, settings=None, cwd=tmp_path, choices=choices
    )


def test_every_question_has_a_handler_and_no_other_does() -> None:
    handlers = next(
        node.value
        for node in ast.walk(ast.parse((INSIDE / "host.py").read_text()))
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and ast.unparse(_target(node)) == "questions"
    )

    assert isinstance(handlers, ast.Dict)
    assert [key.value for key in handlers.keys if isinstance(key, ast.Constant)] == list(get_args(Question))


def test_every_question_has_types_for_arguments_and_reply() -> None:
    names = ["".join(word.capitalize() for word in question.split("_")) for question in get_args(Question)]

    assert [name for name in names if not is_typeddict(getattr(protocol, f"{name}Arguments", None))] == []
    assert [name for name in names if not hasattr(protocol, f"{name}Reply")] == []


@pytest.mark.parametrize("shape", MODELS, ids=lambda shape: shape.__name__)
def test_a_type_of_the_protocol_has_the_keys_of_its_model(shape: Any) -> None:
    assert get_type_hints(shape).keys() == MODELS[shape].model_fields.keys()


def test_a_database_is_told_with_the_keys_of_its_model_but_for_what_planning_works_out() -> None:
    assert get_type_hints(protocol.DatabaseReply).keys() == Database.model_fields.keys() - {
        "applied",
        "pending",
        "unrecorded",
        "ways",
    }


def test_both_sides_know_the_same_troubles() -> None:
    assert get_args(protocol.Trouble) == get_args(Trouble)


def test_every_failure_that_is_raised_is_of_the_protocol() -> None:
    raised = {kind for file in INSIDE.rglob("*.py") for kind in _raised_kinds(ast.parse(file.read_text()))}

    # Those of a wrong entry come out of a function (source/wrong_setting.py); an old Python writes its reply by hand.
    assert {*get_args(FailureKind)} == raised | {"router", "engine", "migrations", "python-too-old"}


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_every_kind_of_failure_is_explained(kind: FailureKind, target: Target) -> None:
    explained = explain({**_example(SHAPES[kind]), "kind": kind}, target, Redactor(), "")

    assert isinstance(explained, DbmigrateError)
    assert explained.hint


def test_a_failure_of_an_unknown_kind_is_told_with_what_it_says(target: Target) -> None:
    with pytest.raises(ReplyError, match="of the unknown kind 'on-fire': the server burns"):
        explain({"kind": "on-fire", "message": "the server burns"}, target, Redactor(), "")


def test_a_failure_that_lacks_something_is_told_with_what_it_says(target: Target) -> None:
    with pytest.raises(ReplyError, match="the failure 'silent-lock' lacks alias; it says: nothing came"):
        explain({"kind": "silent-lock", "message": "nothing came"}, target, Redactor(), "")


def test_the_secrets_of_a_failure_are_known_before_it_is_read(target: Target) -> None:
    redactor = Redactor()

    with pytest.raises(ReplyError) as raised:
        explain(
            {"kind": "on-fire", "message": "s3cr3t-word", "named_values": [["PASSWORD", "s3cr3t-word"]]},
            target,
            redactor,
            "",
        )

    assert "s3cr3t" not in redactor.scrub(str(raised.value))


@pytest.mark.parametrize(
    ("question", "answer", "kind", "said"),
    [
        ("database_host", None, str, "the answer to database_host is None: Input should be a valid string"),
        (
            "reach",
            {"default": {"state": "ok", "trouble": None}},
            dict[str, Reached],
            "the answer to reach['default']['error'] is {'state': 'ok', 'trouble': None}: Field required",
        ),
        ("end_orphans", ["a", 1], tuple[str, ...], "the answer to end_orphans[1] is 1: Input should be a valid string"),
    ],
)
def test_an_answer_of_another_type_is_refused_with_its_place(
    question: Question, answer: object, kind: Any, said: str
) -> None:
    with pytest.raises(ReplyError) as raised:
        read_reply(question, answer, kind)

    assert str(raised.value) == said


def test_a_boot_that_answers_something_else_shows_nothing_of_it() -> None:
    with pytest.raises(ReplyError) as raised:
        read_booted({"named_values": [["PASSWORD", "s3cr3t", "more"]], "names": [], "boot_seconds": 1.0})

    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "shape", "misfit"),
    [
        ([["a", None], None], protocol.LocateReply, None),
        ([["a"]], protocol.LocateReply, "it[0] is ['a'], not typing.Tuple[str, typing.Optional[int]]"),
        (1, float, None),
        (True, int, "it is True, not int"),
        ({"a": [1]}, dict[str, list[str]], "it['a'][0] is 1, not str"),
        ({"warm_up": True, "more": 1}, protocol.WhyNotForkArguments, "it has more too"),
        ({"alias": "a", "holder": "b", "seconds": None}, protocol.LockHolderReply, None),
        ({"state": "gone"}, Literal["held"], "it is {'state': 'gone'}, not typing.Literal['held']"),
    ],
)
def test_a_misfit_is_found_at_any_depth(answer: object, shape: Any, misfit: str | None) -> None:
    assert find_misfit(answer, shape, "it") == misfit


def _target(node: ast.Assign | ast.AnnAssign) -> ast.expr:
    return node.target if isinstance(node, ast.AnnAssign) else node.targets[0]


def _raised_kinds(tree: ast.Module) -> Iterator[str]:
    """Yield every text that is, or may be, the first argument of HostError(…) in a file."""
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(function):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                assigned.setdefault(ast.unparse(_target(node)), []).append(node.value)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "HostError":
                kind = node.args[0]
                for value in assigned.get(ast.unparse(kind), [kind]):
                    yield from _results(value)


def _results(value: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be: not those that it is decided by."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from (*_results(value.body), *_results(value.orelse))
    elif isinstance(value, ast.Call):  # {…}.get(…, "…")
        names = value.func.value if isinstance(value.func, ast.Attribute) else None
        choices = [*names.values, *value.args[1:]] if isinstance(names, ast.Dict) else []
        yield from (kind for choice in choices for kind in _results(choice))


def _example(shape: Any) -> Any:
    """Return something of JSON that has a type of the protocol."""
    origin, parameters = get_origin(shape), get_args(shape)
    if is_typeddict(shape):
        return {key: _example(hint) for key, hint in get_type_hints(shape).items() if key in shape.__required_keys__}
    if origin is Union:
        return _example(parameters[-1])
    if origin is Literal:
        return parameters[0]
    if origin is tuple:
        return [_example(one) for one in parameters]
    return "text" if shape is str else (origin or shape)()
