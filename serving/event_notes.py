"""What the sender of an event should know although it is taken: what it says in vain."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from features.consent import PURPOSES, channel_of, plain
from features.signals import CHANNELS, KNOWN_EVENTS
from serving.event_cells import Text, cell, moment_of

# As vendors name the end of a consent in its properties.
ENDS_OF_CONSENT: Final = ("expires_at", "expiresAt", "expires", "valid_until", "ends_at")


def notes(kind: str, item: Mapping[object, object], row: Mapping[str, Text]) -> Iterator[str]:
    """Notes on an item that tells a signal.

    Parameters
    ----------
    kind : str
        The item's type, such as ``track``.
    row : mapping of canonical column to text or None
    """
    event = row["event"] or ""
    if event not in KNOWN_EVENTS:
        yield "kept, but no feature sees an event of this name"
    if kind == "identify" and cell(item.get("userId")) and cell(item.get("anonymousId")):
        yield "what the visitor did before stays under the anonymousId; identities are not joined"
    sent_at = cell(item.get("sentAt"))
    if sent_at is not None and moment_of(sent_at) is None:
        yield "its sentAt is no time and was passed over; write 2026-03-31T18:05:00Z"
    if event == "Consent Given":
        yield from _of_consent(row)


def _of_consent(row: Mapping[str, Text]) -> Iterator[str]:
    fields = json.loads(row["properties"] or "{}")
    if plain(fields.get("purpose")) not in PURPOSES or not channel_of(row["channel"]):
        yield (
            f"it allows nothing: channels are {', '.join(CHANNELS)}, purposes {', '.join(PURPOSES)}"
        )
    if any(word in fields for word in ENDS_OF_CONSENT):
        yield "its end was passed over: a consent stands until 'Consent Withdrawn' is sent"
