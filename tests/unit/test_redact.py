"""What the redactor hides, and what it leaves."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.leaking import pem, random_secrets, spellings, traces

from dbmigrate.confidential import find_secrets
from dbmigrate.models.base import LINE
from dbmigrate.redact import HIDDEN, Redactor
from dbmigrate.unescaping import READINGS, read_all


def leaks(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Return (way, secret, what is shown) of what was not hidden."""
    found = []
    for secret in random_secrets(count, seed):
        redactor = Redactor([secret])
        for way, text in spellings(secret).items():
            shown = LINE.shorten(redactor.scrub(f"told: {text} and more"))
            if HIDDEN not in shown or any(trace in shown for trace in traces(secret)):
                found.append((way, secret, shown))
    return found


def test_generated_secrets_are_hidden_in_every_spelling() -> None:
    assert leaks(60, seed=1) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_generated_secrets_are_hidden_in_every_spelling(seed: int) -> None:
    assert leaks(1000, seed=100 + seed) == []


@given(st.text(st.sampled_from("abn0x12u&;%25#\\\\'\" \n+?äß😀ŉ")))
def test_each_character_of_a_reading_has_its_place_in_the_text(text: str) -> None:
    for form, reading in read_all(text).items():
        starts, ends = reading.places(text)
        assert len(form) == len(starts) == len(ends)
        assert all(0 <= start < end <= len(text) for start, end in zip(starts, ends, strict=True))
    assert {reading.read(text) for reading in READINGS} >= {*read_all(text)}


@pytest.mark.soak
def test_many_secrets_are_hidden_side_by_side() -> None:
    secrets = [*random_secrets(20, seed=2), pem(1)]
    redactor = Redactor(secrets)
    text = "\n".join(f"{way}: {spelled}" for secret in secrets for way, spelled in spellings(secret).items())

    shown = redactor.scrub(text)

    assert [trace for secret in secrets for trace in traces(secret) if trace in shown] == []


def test_each_line_of_a_key_is_hidden_wherever_it_is_cut() -> None:
    key = pem(2)
    lines = [line for line in key.splitlines() if "PRIVATE" not in line]
    redactor = Redactor([key])

    assert [redactor.scrub(f"  {line}") for line in lines] == [f"  {HIDDEN}"] * len(lines)
    assert redactor.scrub(f"it begins with {lines[0][:20]}") == f"it begins with {HIDDEN}"
    assert redactor.scrub(f"{lines[3][40:]} is its end") == f"{HIDDEN} is its end"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("Applying accounts.0001_initial... OK", "Applying accounts.0001_initial... OK"),
        ('relation "accounts_user" does not exist', 'relation "accounts_user" does not exist'),
        ("dbmigrate run --database accounts", "dbmigrate run --database accounts"),
        ("postgres://accounts:accounts@db/accounts", f"postgres://accounts:{HIDDEN}@db/accounts"),
        ("postgres%3A%2F%2Faccounts%3Aaccounts%40db", f"postgres%3A%2F%2Faccounts%3A{HIDDEN}%40db"),
        ("user=accounts password=accounts dbname=accounts", f"user=accounts password={HIDDEN} dbname=accounts"),
        ("{'USER': 'accounts', 'PASSWORD': 'accounts'}", f"{{'USER': 'accounts', 'PASSWORD': {HIDDEN}}}"),
        ('{\\"db_token\\": \\"accounts\\", \\"app\\": \\"accounts\\"}', None),
        ("DB_PASSWORD: accounts", f"DB_PASSWORD: {HIDDEN}"),
        ("--password accounts --user accounts", f"--password {HIDDEN} --user accounts"),
        ("('PASSWORD', 'accounts'), ('APP', 'accounts')", f"('PASSWORD', '{HIDDEN}'), ('APP', 'accounts')"),
    ],
)
def test_a_password_that_is_a_name_is_hidden_where_it_is_a_password(told: str, shown: str | None) -> None:
    redactor = Redactor(["accounts"])
    redactor.learn_names(["accounts", "accounts_user", "0001_initial"])

    if shown is None:
        assert redactor.scrub(told).count("accounts") == 1
    else:
        assert redactor.scrub(told) == shown


def test_a_name_that_has_a_secret_in_it_stays_whole() -> None:
    redactor = Redactor(["s3cr3t"])
    redactor.learn_names(["blog_s3cr3t", "/srv/s3cr3t-shop"])

    assert redactor.scrub("blog_s3cr3t.0001: no s3cr3t") == f"blog_s3cr3t.0001: no {HIDDEN}"
    assert redactor.scrub("/srv/s3cr3t-shop/manage.py") == "/srv/s3cr3t-shop/manage.py"


def test_a_password_that_is_a_name_is_hidden_in_base64() -> None:
    redactor = Redactor(["storefront"])
    redactor.learn_names(["storefront"])
    encoded = base64.b64encode(b"operator:storefront").decode()

    assert redactor.scrub("migrated storefront") == "migrated storefront"
    assert HIDDEN in redactor.scrub(f"Authorization: Basic {encoded}")


def test_what_dbmigrate_says_itself_stays_although_it_is_a_password() -> None:
    redactor = Redactor(["unreachable", "status", "tr0mb0ne"])

    told = "database default is unreachable (tr0mb0ne); see it with: dbmigrate status"

    assert redactor.scrub(told, is_own=True) == told.replace("tr0mb0ne", HIDDEN)
    assert redactor.scrub(told) == f"database default is {HIDDEN} ({HIDDEN}); see it with: dbmigrate {HIDDEN}"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("host=h password=abc user=me", "host=h password=*** user=me"),
        ("password = 'a b' user=me", "password = *** user=me"),
        ("{'password': 1234, 'x': 1}", "{'password': ***, 'x': 1}"),
        ('{\\"PASSWORD\\": \\"a\\\\\\"b\\", \\"x\\": 1}', '{\\"PASSWORD\\": ***, \\"x\\": 1}'),
        ("CREATE ROLE r LOGIN PASSWORD 'abc' VALID", "CREATE ROLE r LOGIN PASSWORD *** VALID"),
        ("CREATE USER u IDENTIFIED BY 'abc'", "CREATE USER u IDENTIFIED BY ***"),
        ("UPDATE t SET password = other WHERE id = 1", "UPDATE t SET password = other WHERE id = 1"),
        ('ADD "password" varchar(128) NOT NULL', 'ADD "password" varchar(128) NOT NULL'),
        ("password authentication failed for user 'me'", "password authentication failed for user 'me'"),
        ("redis://:abc@h:6379/0, http://h:80/a@b", "redis://:***@h:6379/0, http://h:80/a@b"),
    ],
)
def test_a_password_that_nobody_knows_is_hidden_by_its_name(told: str, shown: str) -> None:
    assert Redactor().scrub(told) == shown


def test_short_values_are_hidden_beside_their_names_alone() -> None:
    redactor = Redactor(["q", "12", "abc"])

    assert redactor.scrub("q 12 times: 12.5 s for abcde and abc") == f"q 12 times: 12.5 s for abcde and {HIDDEN}"
    assert redactor.scrub("{'token': 'q'} pwd=12") == f"{{'token': '{HIDDEN}'}} pwd={HIDDEN}"


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("DB_PASSWORD", "abc", {"abc"}),
        ("PGPASSWORD", "1234", {"1234"}),
        ("MYSQL_PWD", "abc", {"abc"}),
        ("sslpassword", "abc", {"abc"}),
        ("STRIPE_SECRET", "sk_live_x", {"sk_live_x"}),
        ("GITHUB_TOKEN", "ghp_x", {"ghp_x"}),
        ("FIELD_ENCRYPTION_KEY", "0123456789abcdef", {"0123456789abcdef"}),
        ("DATABASE_URL", "postgres://u:p%40ss@h/d", {"p%40ss", "p@ss"}),
        ("DATABASE_URL", "postgres://u:it's%20so@h/d", {"it's%20so", "it's so"}),
        ("JSON", '{"url": "redis://:abc@h/0","mail":"x@y"}', {"abc", 'abc@h/0","mail":"x', '0","mail":"x'}),
        ("REDIS_URL", "redis://:pass@h:6379/0", {"pass"}),
        ("DATABASE_URL", "postgres://u:pa/ss@word@h/d", {"pa/ss@word", "pa", "ss", "word"} - {"pa", "ss"}),
        ("NAME", "host=h password='it\\'s' dbname=d", {"it\\'s", "it's"}),
        ("DSN", "Driver=x;Uid=u;Pwd={a}}b};", {"a}b", "{a}}b}"}),
        ("PASSWORD_HASHERS", "django.contrib.auth.hashers.Argon2PasswordHasher", set()),
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/db", set()),
        ("AWS_ACCESS_KEY_ID", "AKIA0123456789", set()),
        ("TOKEN_URL", "https://example.org/token", set()),
        ("DEFAULT_TOKEN_MODEL", "accounts.Token", set()),
        ("CACHE_KEY", "short", set()),
        ("PWD", "", set()),
        ("PWD", "/srv/app", set()),
        ("OLDPWD", "/srv", set()),
        ("PWD", "hunter22", {"hunter22"}),
        ("CREDENTIALS_DIRECTORY", "/run/credentials/app", set()),
        ("HOME", "/root", set()),
    ],
)
def test_secrets_are_found_by_their_names_and_in_urls(name: str, value: str, secrets: set[str]) -> None:
    assert find_secrets([(name, value)]) == secrets


def test_a_long_line_of_backslashes_is_looked_through_once() -> None:
    line = "\\" * 60_000
    began = time.process_time()

    assert Redactor(["hunter22-of-bob", "a\"b\\c'd"]).scrub(f"{line}hunter22-of-bob") == f"{line}***"

    assert time.process_time() - began < 10, "from every backslash to the last one it takes minutes"
