"""Traits that decide how a customer is contacted: household, clock and preferred channel."""

import json
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from features.consent import channel_of, plain
from features.signals import CHANNELS

TRAIT_EVENT: Final = "Trait Set"
HOUSEHOLD_ID: Final = "household_id"
TIME_ZONE: Final = "timezone"
PREFERRED_CHANNEL: Final = "preferred_channel"
KEPT: Final = (HOUSEHOLD_ID, TIME_ZONE, PREFERRED_CHANNEL)
LONGEST: Final = 128  # characters; a longer text is none of these three

# Ways in which the names are written, without signs and in small letters.
_NAMES: Final[Mapping[str, str]] = {
    "householdid": HOUSEHOLD_ID,
    "household": HOUSEHOLD_ID,
    "timezone": TIME_ZONE,
    "preferredchannel": PREFERRED_CHANNEL,
}


@dataclass(frozen=True, slots=True)
class TraitChange:
    """One trait as stated at a moment; an empty value takes it back. Microseconds UTC."""

    customer_id: str
    name: str
    value: str
    occurred_at: int
    received_at: int


def trait_changes(customer_id: str, properties: str | None, *times: int) -> list[TraitChange]:
    """The kept traits that one `Trait Set` states.

    Parameters
    ----------
    properties : str or None
        JSON object; the traits stand in its ``traits``, or in the object itself.
    times : int, int
        `occurred_at` and `received_at`.
    """
    said = json.loads(properties) if properties else {}
    if not isinstance(said, Mapping):
        return []
    inner = said.get("traits")
    stated = {**said, **inner} if isinstance(inner, Mapping) else said
    found = {}
    for word, value in stated.items():
        name = _NAMES.get(plain(word).replace(" ", ""))
        if name is not None:
            found[name] = _value(value)
    occurred_at, received_at = (int(at) for at in times)
    return [
        TraitChange(customer_id, name, found[name], occurred_at, received_at)
        for name in KEPT
        if name in found
    ]


@lru_cache(maxsize=1024)
def known_time_zone(name: str) -> zoneinfo.ZoneInfo | None:
    """The time zone of that name; None if there is none, so that the company's is used."""
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=1024)
def channels_named(text: str) -> tuple[str, ...]:
    """Our names of the channels in a stated preference, such as ``E-Mail, SMS``."""
    words = text.replace(";", ",").replace("/", ",").split(",")
    named = {channel_of(word) for word in words}
    return tuple(channel for channel in CHANNELS if channel in named)


def _value(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(str(part) for part in value)
    text = "" if value is None else str(value).strip()
    return text if len(text) <= LONGEST else ""
