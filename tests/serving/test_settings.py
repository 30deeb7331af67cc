"""A wrong setting stops the start with a sentence."""

from pathlib import Path

import pytest

from serving.settings import Settings, WrongSetting, read_settings


def test_without_settings_the_defaults_hold() -> None:
    assert read_settings({"PATH": "/bin"}) == Settings(Path(".nextbest"), 1000)


def test_settings_are_read() -> None:
    found = read_settings({"NEXTBEST_HOME": "/data/shop", "NEXTBEST_DEADLINE_MS": "150"})
    assert found == Settings(Path("/data/shop"), 150)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("NEXTBEST_HOUSE", "x", r"unknown setting NEXTBEST_HOUSE; did you mean NEXTBEST_HOME\?"),
        ("NEXTBEST_Q", "x", "settings are NEXTBEST_HOME, NEXTBEST_DEADLINE_MS; correct its name"),
        ("NEXTBEST_HOME", " ", "NEXTBEST_HOME is empty; must be the path of a home"),
        ("NEXTBEST_DEADLINE_MS", "1s", "'1s'; must be a whole number of milliseconds, 50 to 1500"),
        ("NEXTBEST_DEADLINE_MS", "49", "'49'; must be a whole number"),
        ("NEXTBEST_DEADLINE_MS", "1501", "'1501'; must be a whole number"),
        ("NEXTBEST_DEADLINE_MS", "٩٩٩", "must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(WrongSetting, match=words):
        read_settings({name: value})
