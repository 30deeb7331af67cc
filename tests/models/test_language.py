"""Phrases: English text at once, the same in another language later, numbers and plurals right."""

import copy
import json
from pathlib import Path

import pytest

from models.language import (
    ENGLISH,
    Phrase,
    Quantity,
    joined,
    language_of,
    phrase,
)
from models.messages import InvalidMessages, load_languages, placeholders, read_messages

HEADER = r"""msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"
"X-Decimal-Sign: ,\n"
"X-Thousands-Sign: .\n"
"""
GERMAN = (
    HEADER
    + """
msgid "Spent {value} in {time}."
msgstr "{value} in {time} ausgegeben."

# the days
msgid "{number} day"
msgid_plural "{number} days"
msgstr[0] "{number} Tag"
msgstr[1] "{number} Tage"

msgid "{these} or {that}"
msgstr "{these} oder {that}"

msgid "not "
"said yet"
msgstr ""
"""
)


def catalog(folder: Path, text: str = GERMAN, name: str = "de.po") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_phrase_is_said_again_in_another_language(tmp_path: Path) -> None:
    german = load_languages([catalog(tmp_path)])["de"]
    said = phrase(
        "Spent {value} in {time}.", value=Quantity(1234.5, "currency"), time=Quantity(1, "days")
    )
    assert said == "Spent 1,234.50 in 1 day."
    assert german.say(said) == "1.234,50 in 1 Tag ausgegeben."
    assert ENGLISH.say(said) == said
    assert json.dumps({"text": said}) == '{"text": "Spent 1,234.50 in 1 day."}'


@pytest.mark.parametrize(
    ("value", "unit", "german", "english"),
    [
        (0.0, "days", "0 Tage", "0 days"),
        (1.2, "days", "1 Tag", "1 day"),
        (1234.0, "days", "1.234 Tage", "1,234 days"),
        (0.347, "share", "35 %", "35 %"),
        (4.5, "points", "4,5", "4.5"),
        (-1.0, "days", "-1 Tag", "-1 day"),
        (1.0, "hours", "1 hour", "1 hour"),  # not translated there: English, with its own plural
        (1.5, "hours", "1,5 hours", "1.5 hours"),
    ],
)
def test_numbers_and_plurals_follow_the_language(
    tmp_path: Path, value: float, unit: str, german: str, english: str
) -> None:
    assert load_languages([catalog(tmp_path)])["de"].quantity(value, unit) == german
    assert ENGLISH.quantity(value, unit) == english


def test_phrases_within_phrases_are_said_too(tmp_path: Path) -> None:
    german = load_languages([catalog(tmp_path)])["de"]
    both = joined("{these} or {that}", ["a", phrase("{number} day", number="3"), "c"])
    assert both == "a or 3 day or c"
    assert german.say(both) == "a oder 3 Tag oder c"
    assert joined("{these} or {that}", ["alone"]) == "alone"


def test_what_is_not_translated_stays_english(tmp_path: Path) -> None:
    german = load_languages([catalog(tmp_path)])["de"]
    assert german.say(phrase("{step} was sent", step="drip_1")) == "drip_1 was sent"
    assert german.say("not said yet") == "not said yet"
    assert german.say("") == ""  # where gettext keeps its header


def test_braces_in_values_are_text() -> None:
    assert phrase("{reason}!", reason="{value.__class__}") == "{value.__class__}!"


@pytest.mark.parametrize(
    ("locale", "code"),
    [
        ("de", "de"),
        ("de-AT", "de_AT"),
        ("de_at.UTF-8", "de_AT"),
        ("de-CH", "de"),
        ("DE", "de"),
        ("fr", "en"),
        ("", "en"),
        (None, "en"),
        ("../../etc/passwd", "en"),
    ],
)
def test_a_locale_falls_back_to_its_language_and_then_to_english(
    tmp_path: Path, locale: str | None, code: str
) -> None:
    catalog(tmp_path, name="de_AT.po")
    assert language_of(locale, load_languages([catalog(tmp_path)])).code == code


def test_the_companys_own_messages_win(tmp_path: Path) -> None:
    own = catalog(
        tmp_path / "own", HEADER + '\nmsgid "{these} or {that}"\nmsgstr "{these} bzw. {that}"\n'
    )
    german = load_languages([catalog(tmp_path / "ours"), own, tmp_path / "missing"])["de"]
    assert german.say(joined("{these} or {that}", ["a", "b"])) == "a bzw. b"
    assert german.quantity(2, "days") == "2 Tage"


def test_a_phrase_can_be_copied() -> None:
    said = phrase("{number} day", number="3")
    again = copy.deepcopy({"text": said})["text"]
    assert isinstance(again, Phrase)
    assert (again, again.template, again.values) == (said, said.template, said.values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("msgid oops", "line 1: 'msgid oops'; lines are comments, msgid"),
        ('msgid "a" "b"', 'line 1: "a" "b"; must be one text in double quotes'),
        ('msgid "a"\nmsgstr "b"\n', "no header; it begins with an empty msgid and its lines"),
        (
            HEADER + 'msgid "{value} a"\nmsgstr "{vlaue} b"\n',
            "'{value} a' has the placeholders ['value'], its translation '{vlaue} b' has ['vlaue']",
        ),
        (
            HEADER + 'msgid "{value} a"\nmsgstr "{value.real} b"\n',
            "its translation '{value.real} b' has ['value.real']; they must be the same",
        ),
        (HEADER + 'msgid "a"\nmsgstr "b"\nmsgid "a"\nmsgstr "c"\n', "'a' stands twice"),
        (HEADER.replace("n != 1", "n ! 1"), "its header cannot be read"),
        ('msgctxt "x"\nmsgid "a"\nmsgstr "b"\n', "lines are comments, msgid"),
    ],
)
def test_a_mistake_in_a_catalog_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidMessages) as caught:
        load_languages([catalog(tmp_path, text)])
    assert words in str(caught.value)
    assert str(caught.value).startswith("de.po")


def test_placeholders_that_do_not_close_agree_with_nothing() -> None:
    assert placeholders("{value} and {label}") == {"value", "label"}
    assert placeholders("{value") == {"{value"}


def test_messages_are_read_back(tmp_path: Path) -> None:
    found = {each.text: each.said for each in read_messages(catalog(tmp_path) / "de.po")}
    assert found["{number} day"] == ("{number} Tag", "{number} Tage")
    assert "not said yet" not in found
