"""What nobody sees is found and named; what people write in any language is not."""

import pytest

from serving.plain_text import unseen
from serving.storage.pauses import InvalidPause, Wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\u202eb", "U+202E (right-to-left override) at place 2"),
        ("\u2066x", "U+2066 (left-to-right isolate) at place 1"),
        ("ab\u200b", "U+200B (zero width space) at place 3"),
        ("\ufeffx", "U+FEFF (zero width no-break space) at place 1"),
        ("a\tb", "U+0009 (a control character) at place 2"),
        ("a\x9b", "U+009B (a control character) at place 2"),
        ("a\u2028", "U+2028 (line separator) at place 2"),
        ("\ud800", "U+D800 (a control character) at place 1"),
        ("\U000e0041", "U+E0041 (tag latin capital letter a) at place 1"),
    ],
)
def test_what_nobody_sees_is_named(text: str, words: str) -> None:
    assert unseen(text) == words
    with pytest.raises(InvalidPause) as refused:
        Wanted(f"fire {text}")
    assert "which nobody sees; must be plain text: it stands in every refusal" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Rückruf: Kanne & Filter",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u06cc\u200c\u062e",
        "\U0001f468\u200d\U0001f469",
    ],
)
def test_what_people_write_is_plain(text: str) -> None:
    assert unseen(text) == ""
