"""Which connections count together, and how many are needed."""

from __future__ import annotations

import pytest

from dbmigrate.models.rooms import Room
from dbmigrate.planning.room import Shortage, describe_shortage, find_shortage


def room(kind: str = "role", name: str = "app", *, most: int, others: int = 0, key: str = "one") -> Room:
    return Room.model_validate({"kind": kind, "name": name, "key": key, "most": most, "others": others})


def test_each_lock_and_one_connection_more_must_have_room() -> None:
    rooms = {"default": (room(most=3),), "archive": (room(most=3),)}

    assert find_shortage(rooms, ["default", "archive"], {}) is None
    assert find_shortage({**rooms, "third": (room(most=3),)}, ["default", "archive", "third"], {}) == Shortage(
        room(most=3), ("default", "archive", "third"), locks=3
    )


def test_databases_with_other_limits_do_not_count_together() -> None:
    rooms = {"default": (room(most=2),), "archive": (room(most=2, key="another"),)}

    assert find_shortage(rooms, ["default", "archive"], {}) is None


def test_the_connections_of_others_count_and_may_be_closed() -> None:
    shortage = find_shortage({"default": (room(most=5, others=4),)}, ["default"], {})

    assert shortage is not None
    assert shortage.may_pass
    assert describe_shortage(shortage).endswith(
        'role "app" is allowed 5 connections (CONNECTION LIMIT); other sessions use 4 of them'
    )


@pytest.mark.parametrize(
    ("url", "is_short"),
    [
        ("postgresql://other:secret@host/name", False),
        ("postgresql://app:secret@host/name", True),
        ("postgresql://host/name", True),
    ],
)
def test_a_lock_of_another_user_does_not_count(url: str, is_short: bool) -> None:
    shortage = find_shortage({"default": (room(most=1),)}, ["default"], {"default": url})

    assert (shortage is not None) == is_short


def test_what_cannot_pass_comes_before_what_can() -> None:
    rooms = {"default": (room(most=9, others=9), room("database", "shop", most=1, key="another"))}

    shortage = find_shortage(rooms, ["default"], {})

    assert shortage is not None
    assert shortage.room.kind == "database"
