"""JSON from files that may have been forged: read strictly, then turned into typed records.

Python's own reader takes a repeated key, NaN, endless digits and any depth. Here everything that
training never writes is refused in words, and a record gets exactly its fields in their types.
"""

import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Final, TypeVar

from models.model import DamagedModel

Record = TypeVar("Record")

DEEPEST: Final = 16  # brackets within brackets; training writes five at most
LARGEST_INTEGER: Final = 2**63 - 1  # microseconds and counts are int64 everywhere
LONGEST_NUMBER: Final = 40  # characters; a float64 has 24 at most
# Lists of thousands of numbers that are right as they were read: the quick way.
_AS_READ: Final[Mapping[object, frozenset[type]]] = {
    float: frozenset({float}),
    float | None: frozenset({float, type(None)}),
}
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET: Final = re.compile(r"[\[\]{}]")
_ODD: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # not tab and newline


def strict_json(content: bytes, where: str) -> object:
    """Value of a JSON text.

    Parameters
    ----------
    where : str
        What errors call the text.

    Raises
    ------
    DamagedModel
        If it is no JSON in UTF-8, or holds a repeated key, a number that is not finite or not
        an int64, a control or surrogate character, or brackets deeper than `DEEPEST`.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedModel(f"{where}: not UTF-8 ({error.reason}); must be JSON") from error
    _require_shallow(text, where)
    try:
        found = json.loads(
            text,
            object_pairs_hook=_table,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except DamagedModel as error:
        raise DamagedModel(f"{where}: {error}") from error
    except ValueError as error:
        raise DamagedModel(f"{where}: not JSON ({error})") from error
    _require_plain_text(found, where)
    return found


def table(value: object, where: str) -> dict[str, object]:
    """The value, if it is a JSON object.

    Raises
    ------
    DamagedModel
        If it is anything else.
    """
    if not isinstance(value, dict):
        raise DamagedModel(f"{where}: {_short(value)}; must be an object")
    return value


def record(kind: type[Record], value: object, where: str) -> Record:
    """A frozen record from a JSON object that has exactly its fields, each of its type.

    Raises
    ------
    DamagedModel
        If a field is missing, unknown, or of another type.
    """
    found = table(value, where)
    types_of = _types_of(kind)
    if set(found) != set(types_of):
        raise DamagedModel(
            f"{where}: {kind.__name__} has {_listed(found)}; must have {_listed(types_of)}"
        )
    return kind(
        **{name: typed(types_of[name], found[name], f"{where}: {name}") for name in types_of}
    )


def typed(kind: object, value: object, where: str) -> object:
    """The value as a type of our records: number, text, tuple, mapping, record, or None.

    Raises
    ------
    DamagedModel
        If it is of another type.
    """
    if kind is object:
        return value
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else typed(_only(arguments), value, where)
    if origin is tuple:
        return _typed_tuple(arguments, value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        entries = table(value, where)
        return {key: typed(arguments[1], entries[key], f"{where}: {key}") for key in entries}
    if kind is float and type(value) in (int, float):
        return float(typing.cast(float, value))
    if kind in (int, str, bool) and type(value) is kind:
        return value
    if hasattr(kind, "__dataclass_fields__"):
        return record(typing.cast(type[object], kind), value, where)
    word = getattr(kind, "__name__", str(kind))
    raise DamagedModel(f"{where}: {_short(value)}; must be of type {word}")


def _typed_tuple(arguments: tuple[object, ...], value: object, where: str) -> object:
    if not isinstance(value, list):
        raise DamagedModel(f"{where}: {_short(value)}; must be a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        if set(map(type, value)) <= _AS_READ.get(arguments[0], frozenset()):
            return tuple(value)
        return tuple(typed(arguments[0], each, where) for each in value)
    if len(value) != len(arguments):
        raise DamagedModel(f"{where}: {len(value)} entries; must be {len(arguments)}")
    return tuple(typed(kind, each, where) for kind, each in zip(arguments, value, strict=True))


def _only(arguments: tuple[object, ...]) -> object:
    """The type in ``type | None``."""
    kinds = [argument for argument in arguments if argument is not type(None)]
    if len(kinds) != 1 or len(arguments) != 2:
        raise TypeError(f"{arguments}; a record's field may be one type, or that or None")
    return kinds[0]


def _types_of(kind: type[object]) -> dict[str, object]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}  # type: ignore[arg-type]


def _require_shallow(text: str, where: str) -> None:
    """Refuse deep brackets before the reader, which recurses, meets them."""
    depth = 0
    for bracket in _BRACKET.findall(_TEXT.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise DamagedModel(f"{where}: brackets more than {DEEPEST} deep; must be at most that")


def _table(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        again = next(key for key in keys if keys.count(key) > 1)
        raise DamagedModel(f"the key {_short(again)} twice; must be once")
    return found


def _refuse_constant(word: str) -> object:
    raise DamagedModel(f"the number {word}; must be finite")


def _integer(word: str) -> int:
    if len(word) > LONGEST_NUMBER or abs(int(word)) > LARGEST_INTEGER:
        raise DamagedModel(f"the number {word[:LONGEST_NUMBER]}; must be an int64")
    return int(word)


def _number(word: str) -> float:
    found = float(word) if len(word) <= LONGEST_NUMBER else math.inf
    if not math.isfinite(found):
        raise DamagedModel(f"the number {word[:LONGEST_NUMBER]}; must be a finite float64")
    return found


def _require_plain_text(value: object, where: str) -> None:
    """Refuse characters that break logs and pages: controls, and halves of a character."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            stack.extend(each)
            stack.extend(each.values())
        elif isinstance(each, list):
            stack.extend(each)
        elif isinstance(each, str) and (odd := _ODD.search(each)):
            raise DamagedModel(f"{where}: the character {odd[0]!a} in a text; must be printable")


def _listed(names: typing.Iterable[str]) -> str:
    return _short(sorted(names), 200)


def _short(value: object, length: int = 60) -> str:
    text = ascii(value)
    return text if len(text) <= length else f"{text[:length]}..."
