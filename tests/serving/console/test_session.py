"""Sessions: signed, short, tied to a key that works."""

from pathlib import Path

import pytest

from features.signals import HOUR
from serving.console.session import SECRET_FILE, SESSION_HOURS, Sessions, UnusableSecret, secret_of

KEY_HASH = "ab" * 32
NOON = 1_793_491_200_000_000


class Clock:
    """A clock that a test may move."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


def sessions(clock: Clock, known: set[str], secret: bytes = b"s" * 32) -> Sessions:
    return Sessions(secret, known.__contains__, clock)


def test_a_session_holds_until_its_end() -> None:
    clock = Clock()
    ours = sessions(clock, {KEY_HASH})
    cookie = ours.opened(KEY_HASH)
    assert ours.holds(cookie)
    clock.now += SESSION_HOURS * HOUR - 1_000_000
    assert ours.holds(cookie)
    clock.now += 1_000_000
    assert not ours.holds(cookie)


def test_revoking_the_key_ends_the_session() -> None:
    known = {KEY_HASH}
    ours = sessions(Clock(), known)
    cookie = ours.opened(KEY_HASH)
    known.clear()
    assert not ours.holds(cookie)


@pytest.mark.parametrize(
    "change",
    [
        lambda cookie: cookie.replace("ab", "cd", 1),
        lambda cookie: cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
        lambda cookie: cookie.replace(".1", ".9", 1),
        lambda cookie: "",
        lambda cookie: "..",
        lambda cookie: "é.1.2",
    ],
)
def test_a_changed_cookie_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    ours = sessions(Clock(), {KEY_HASH, "cd" + KEY_HASH[2:]})
    assert not ours.holds(change(ours.opened(KEY_HASH)))


def test_another_secret_signs_nothing_of_ours() -> None:
    theirs = sessions(Clock(), {KEY_HASH}, b"t" * 32)
    assert not sessions(Clock(), {KEY_HASH}).holds(theirs.opened(KEY_HASH))


def test_a_form_belongs_to_one_cookie() -> None:
    ours = sessions(Clock(), set())
    token = ours.form_token("mine")
    assert ours.form_is_ours("mine", token)
    assert not ours.form_is_ours("yours", token)
    assert not ours.form_is_ours("", ours.form_token(""))
    # A token for a form opens no session, and the other way round.
    assert not ours.holds(f"mine.{token}")


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    secret = secret_of(tmp_path)
    assert len(secret) == 32
    assert secret_of(tmp_path) == secret
    assert (tmp_path / SECRET_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [SECRET_FILE]


def test_a_damaged_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / SECRET_FILE).write_bytes(b"short")
    with pytest.raises(UnusableSecret, match=r"5 bytes; must be 32; remove it"):
        secret_of(tmp_path)
