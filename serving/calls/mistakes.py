"""What is wrong with a call, in our words: what was seen, what is allowed, what to do.

The library that compares a call with its schema finds the places. The sentences come from the
schema that `/openapi.json` shows, so that both say the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydantic import BaseModel, ValidationError

from serving.calls.schemas import WORDS_OF_PATTERN
from serving.plain_text import unseen
from serving.toml_table import did_you_mean

MISSING: Final = "missing"
UNKNOWN: Final = "unknown_field"
INVALID: Final = "invalid"
# A body can be wrong in thousands of places; who mends these many finds the others.
MOST_TOLD: Final = 20
LONGEST_NAME: Final = 64  # characters of a caller's own key that are repeated
_WORD: Final = re.compile(r"[A-Za-z_]{1,24}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,12}")  # in a query, numbers are texts
_NOTHING: Final = re.compile(r"(?!)")

Schema = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with a call.

    Attributes
    ----------
    pointer : str
        Where, as a JSON pointer.
    code : str
        `MISSING`, `UNKNOWN`, `INVALID`, or the name of a rule of one call.
    words : str
        What is wrong, what is allowed, what to do. A value stands in it only where it can hardly
        be personal: a number where a number belongs, a word where there is a closed list.
    """

    pointer: str
    code: str
    words: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere in a call: the way there, what was sent, and the schema of what belongs there."""

    way: tuple[str, ...]
    value: object
    schema: Schema
    parent: Schema
    is_key: bool = False


def mistakes(
    error: ValidationError, content: object, model: type[BaseModel]
) -> tuple[Mistake, ...]:
    """Each place of `content` that is not as `model` states it, once, in our words."""
    found: dict[str, Mistake] = {}
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        place = _place(each["loc"], content, _schema_of(model), each["type"] == MISSING)
        pointer = "/".join(("", *(part[:LONGEST_NAME] for part in place.way)))
        if pointer not in found and len(found) < MOST_TOLD:
            found[pointer] = _mistake(pointer, each["type"], place)
    return tuple(found.values())


def seen(value: object, schema: Schema) -> str:
    """A value without what may be personal in it: its kind, and how long it is."""
    options = _options(schema)
    kinds = {option.get("type") for option in options}
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"{value!r:.24}" if kinds & {"integer", "number"} else "a number"
    if isinstance(value, str):
        hidden = unseen(value)
        if hidden:
            return f"a text with {hidden}, which nobody sees"
        listed = any("enum" in option for option in options)
        harmless = _WORD if listed else _NUMBER if "integer" in kinds else _NOTHING
        return f"'{value}'" if harmless.fullmatch(value) else _long(value)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"an object with {len(value)} fields" if isinstance(value, Mapping) else "of no kind"


def allowed(schema: Schema) -> str:
    """What may stand in a place, in words."""
    options = _options(schema)
    if any(option.get("type") == "number" for option in options):
        options = [option for option in options if option.get("type") != "integer"]
    found = [_one_allowed(option) for option in options]
    return " or ".join(dict.fromkeys(found)) or "what /openapi.json says"


# ---- Where -------------------------------------------------------------------------------


@cache
def _schema_of(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def _place(loc: Sequence[str | int], content: object, schema: Schema, is_missing: bool) -> _Place:
    """The place that an error speaks of; names of alternatives in it are left out."""
    place = _Place((), content, schema, schema)
    for part in loc:
        inner = _inside(place.schema, part)
        if part == "[key]":
            names = {"type": "string", "pattern": _of_keys(place.parent)}
            return _Place(place.way, place.way[-1], names, place.parent, is_key=True)
        is_there, value = _held(place.value, part)
        if not is_there and not is_missing:
            break
        if inner is None:
            if not _fields(place.schema):
                break  # the name of an alternative that happens to be a key as well
            inner = {}
        place = _Place((*place.way, str(part)), value, inner, place.schema)
    return place


def _held(value: object, part: str | int) -> tuple[bool, object]:
    """Whether a value has something under a key or at a place, and what."""
    if isinstance(value, Mapping) and part in value:
        return True, value[part]
    if isinstance(value, list) and isinstance(part, int):
        return True, value[part]
    return False, None


def _inside(schema: Schema, part: str | int) -> Schema | None:
    """The schema of a field or an item; None if there is none."""
    for option in _options(schema):
        inner = option.get("items") if isinstance(part, int) else None
        if isinstance(part, str):
            inner = _fields(option).get(part, next(iter(_by_pattern(option).values()), None))
        if isinstance(inner, Mapping):
            return inner
    return None


def _fields(schema: Schema) -> Mapping[str, Schema]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _by_pattern(schema: Schema) -> Mapping[str, Schema]:
    """What belongs under keys that the caller names, by the pattern of the keys."""
    found = schema.get("patternProperties")
    return found if isinstance(found, Mapping) else {}


def _of_keys(schema: Schema) -> str:
    return next((one for option in _options(schema) for one in _by_pattern(option)), "")


def _options(schema: Schema) -> list[Schema]:
    """The alternatives of a schema; null goes without saying."""
    found = schema.get("anyOf")
    if isinstance(found, list):
        return [one for option in found for one in _options(option)]
    return [] if schema.get("type") == "null" else [schema]


# ---- Words -------------------------------------------------------------------------------


def _mistake(pointer: str, kind: str, place: _Place) -> Mistake:
    name = pointer[1:] or "the body"
    if kind == MISSING:
        return Mistake(pointer, MISSING, f"{name} is missing; must be {_needed(place)}; send it")
    if kind == "extra_forbidden":
        known = sorted(_fields(place.parent))
        hint = did_you_mean(place.way[-1], known)
        words = f"'{name}' is no field of this call{hint}; fields are {', '.join(known)}; "
        return Mistake(pointer, UNKNOWN, words + "leave it out")
    what = f"the key {name}" if place.is_key else name
    said = f"{what} is {seen(place.value, place.schema)}; must be {_needed(place)}; correct it"
    return Mistake(pointer, INVALID, said + _or_leave_out(place))


def _needed(place: _Place) -> str:
    if place.way:
        return allowed(place.schema)
    return f"an object with the fields {', '.join(sorted(_fields(place.schema)))}"


def _or_leave_out(place: _Place) -> str:
    """For a field that need not be there."""
    required = place.parent.get("required", [])
    is_field = place.way and place.way[-1] in _fields(place.parent)
    optional = isinstance(required, list) and is_field and place.way[-1] not in required
    return " or leave it out" if optional else ""


def _one_allowed(schema: Schema) -> str:
    kind, pattern = schema.get("type"), schema.get("pattern")
    words = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(words, list):
        return f"one of {', '.join(str(word) for word in words)}"
    if isinstance(pattern, str):
        return WORDS_OF_PATTERN.get(pattern, f"a text like {pattern}")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _limits(schema)
    if kind == "array":
        low, high = schema.get("minItems", 0), schema.get("maxItems")
        return "a list" if high is None else f"a list of {low} to {high} items"
    if kind == "object" and "maxProperties" in schema:
        return f"an object with at most {schema['maxProperties']} fields"
    return {"string": "a text", "boolean": "true or false"}.get(str(kind), "an object")


def _limits(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None:
        return ""
    return f" of at least {low}" if high is None else f" from {low} to {high}"


def _long(text: str) -> str:
    return f"a text of length {len(text)}" if text else "an empty text"
