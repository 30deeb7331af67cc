import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from models.model import DamagedModel
from models.strict_json import DEEPEST, record, strict_json, table


@dataclass(frozen=True, slots=True)
class Inner:
    share: float


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    count: int
    flag: bool
    inner: Inner
    numbers: tuple[float, ...]
    perhaps: tuple[float | None, ...]
    pair: tuple[int, str]
    by_name: Mapping[str, int]
    anything: object
    missing: float | None


SOUND = {
    "name": "a",
    "count": 3,
    "flag": True,
    "inner": {"share": 1},
    "numbers": [1.5, 2],
    "perhaps": [None, 1.5],
    "pair": [1, "b"],
    "by_name": {"x": 1},
    "anything": [{}],
    "missing": None,
}


def test_a_record_gets_its_fields_in_their_types() -> None:
    found = record(Outer, SOUND, "x.json")
    assert found == Outer(
        "a", 3, True, Inner(1.0), (1.5, 2.0), (None, 1.5), (1, "b"), {"x": 1}, [{}], None
    )
    assert [type(each) for each in found.numbers] == [float, float]
    assert type(found.inner.share) is float


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", 3, "x.json: name: 3; must be of type str"),
        ("count", 3.0, "x.json: count: 3.0; must be of type int"),
        ("count", True, "x.json: count: True; must be of type int"),
        ("flag", 1, "x.json: flag: 1; must be of type bool"),
        ("inner", [], "x.json: inner: []; must be an object"),
        ("inner", {"share": "1"}, "x.json: inner: share: '1'; must be of type float"),
        ("inner", {"share": True}, "x.json: inner: share: True; must be of type float"),
        ("inner", {"shares": 1}, "Inner has ['shares']; must have ['share']"),
        ("numbers", 1.5, "x.json: numbers: 1.5; must be a list"),
        ("numbers", [1.5, None], "x.json: numbers: None; must be of type float"),
        ("perhaps", [[1.5]], "x.json: perhaps: [1.5]; must be of type float"),
        ("pair", [1], "x.json: pair: 1 entries; must be 2"),
        ("by_name", {"x": "1"}, "x.json: by_name: x: '1'; must be of type int"),
        ("missing", "?", "x.json: missing: '?'; must be of type float"),
    ],
)
def test_another_type_is_refused(key: str, value: object, words: str) -> None:
    with pytest.raises(DamagedModel, match=re.escape(words)):
        record(Outer, SOUND | {key: value}, "x.json")


def test_missing_and_unknown_fields_are_refused() -> None:
    with pytest.raises(DamagedModel, match=r"Inner has \[\]; must have \['share'\]"):
        record(Inner, {}, "x.json")
    with pytest.raises(DamagedModel, match=r"Inner has \['__class__', 'share'\]"):
        record(Inner, {"share": 1.0, "__class__": "os"}, "x.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "x.json: not JSON"),
        (b"{", "x.json: not JSON"),
        (b"\xff", "x.json: not UTF-8"),
        (b"\xef\xbb\xbf{}", "x.json: not JSON (Unexpected UTF-8 BOM"),
        (b'{"a": 1, "a": 2}', "x.json: the key 'a' twice; must be once"),
        (b"[NaN]", "x.json: the number NaN; must be finite"),
        (b"[-Infinity]", "x.json: the number -Infinity; must be finite"),
        (b"[1e999]", "x.json: the number 1e999; must be a finite float64"),
        (b"[0.%s1]" % (b"0" * 99), "must be a finite float64"),
        (b"[9223372036854775808]", "9223372036854775808; must be an int64"),
        (b"[%s]" % (b"9" * 9999), "must be an int64"),
        (b"[" * 9999 + b"]" * 9999, f"x.json: brackets more than {DEEPEST} deep"),
        (b'{"a":' * 9999 + b"1" + b"}" * 9999, f"x.json: brackets more than {DEEPEST} deep"),
        (rb'["\u0000"]', r"the character '\x00' in a text; must be printable"),
        (rb'{"\u001b[2J": 1}', r"the character '\x1b' in a text; must be printable"),
        (rb'["\ud800"]', r"the character '\ud800' in a text; must be printable"),
    ],
)
def test_what_training_never_writes_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(DamagedModel, match=re.escape(words)):
        strict_json(text, "x.json")


def test_what_training_writes_passes() -> None:
    text = '{"ä": ["one\\ntwo", "[[[[[[[[[[[[[[[[[[", "\\"["], "n": -9223372036854775807}'
    assert strict_json(text.encode(), "x.json") == {
        "ä": ["one\ntwo", "[[[[[[[[[[[[[[[[[[", '"['],
        "n": -9223372036854775807,
    }
    assert strict_json(b"[" * DEEPEST + b"]" * DEEPEST, "x.json")


def test_only_an_object_is_a_table() -> None:
    assert table({"a": 1}, "x.json") == {"a": 1}
    with pytest.raises(DamagedModel, match=r"x\.json: \[\]; must be an object"):
        table([], "x.json")
