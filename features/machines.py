"""Opens and clicks of machines: image proxies, link scanners and prefetching mail programs.

They are kept apart from what people do, never thrown away: the event's key gets the word
``machine`` after a slash, so that features of opens and clicks see people alone, and whoever
wants the raw count adds both keys.

Two kinds of signs tell them. What the sender of the signal says: its flags, the reading
program, the network. And what time says: nobody reads within seconds of the sending, or
follows three links within one. A click therefore counts as known only when its second is over,
so that no feature of the past changes when more is heard later.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from features.signals import (
    BY_MACHINE,
    CONTACT_EVENTS,
    MACHINE,
    SECOND,
    Int64Array,
    SignalColumns,
    code,
    event_key,
)

# Mail gateways look at a message as it comes in. A person needs longer to hear of it, to find
# it and to look: we know of no study with less than ten seconds for more than one in a thousand.
TOO_SOON: Final = 10 * SECOND
# A person may click twice by accident. Three clicks with no more than a second between the one
# looked at and the others are a scanner's work: it follows every link at once.
BURST: Final = SECOND
BURST_CLICKS: Final = 3

# Flags under which mail platforms say it themselves; small letters, no signs.
FLAGS: Final = frozenset(
    {
        "machine",
        "ismachine",
        "machineopen",
        "ismachineopen",
        "sgmachineopen",
        "bot",
        "isbot",
        "botclick",
        "prefetched",
        "isprefetched",
        "appleprivacyopen",
        "datacenter",
        "hosting",
    }
)
_TRUE: Final = ("true", "1", "yes", "y", "t")
_AGENTS: Final = ("useragent", "agent", "clientuseragent")
_NETWORKS: Final = ("asntype", "networktype", "connectiontype", "iptype")
_NETWORK_WORDS: Final = ("hosting", "datacenter", "data center", "cloud")
# Programs without a person before them. The last is how Apple's Mail Privacy Protection shows
# itself: the first two words of a browser, and nothing else.
_PROGRAMS: Final = re.compile(
    r"bot\b|spider|crawl|scanner|preview|prefetch|headless|phantomjs|python-|curl/|wget/|java/"
    r"|go-http-client|okhttp|libwww|barracuda|mimecast|proofpoint|ironport|symantec|fireeye"
    r"|trend ?micro|safelinks|^mozilla/5\.0$",
    re.IGNORECASE,
)
_SIGNS: Final = re.compile(r"[^a-z0-9]")


def machine_word(event: str, properties: str | None) -> str | None:
    """``machine`` if the signal says that no person did it; else None.

    Parameters
    ----------
    properties : str or None
        JSON object of the signal.
    """
    if event not in BY_MACHINE or not properties:
        return None
    said = json.loads(properties)
    if not isinstance(said, Mapping):
        return None
    named = {_SIGNS.sub("", str(name).lower()): value for name, value in said.items()}
    flagged = any(_is_true(named[name]) for name in FLAGS & named.keys())
    agents = (str(named.get(name) or "").strip() for name in _AGENTS)
    networks = (str(named.get(name) or "").lower() for name in _NETWORKS)
    if (
        flagged
        or any(agent and _PROGRAMS.search(agent) for agent in agents)
        or any(word in network for network in networks for word in _NETWORK_WORDS)
    ):
        return MACHINE
    return None


def _is_true(value: object) -> bool:
    return value is True or str(value).strip().lower() in _TRUE


def marked(signals: SignalColumns, owner: Int64Array | None = None) -> SignalColumns:
    """The signals, with opens and clicks that time shows to be a machine's under their own key.

    Clicks are known a second after they occurred at the earliest: until then nobody can say
    whose they are. Marked signals must not be marked again.

    Parameters
    ----------
    signals : SignalColumns
        Of one customer by time; of several, one after the other.
    owner : ndarray of int64, shape (n_signals,), optional
        Whose each signal is, ascending; without it all are one customer's.
    """
    rows = np.flatnonzero(np.isin(signals.event, _LOOKED_AT))
    event, at = signals.event[rows], signals.occurred_at[rows]
    clicked = np.isin(event, (_CLICK, _MACHINE_CLICK))
    if not (clicked | (event == _OPEN)).any():
        return signals
    heard = signals.received_at[rows]
    known = np.where(clicked, np.maximum(heard, at + BURST), heard)
    who = np.zeros(len(rows), dtype=np.int64) if owner is None else owner[rows]
    mails = _Mails(event, at, heard, known, who)
    near = (np.diff(at) < TOO_SOON) & (np.diff(who) == 0)
    crowded = np.append(False, near) | np.append(near, False)
    asked = np.flatnonzero(np.isin(event, (_OPEN, _CLICK)) & crowded)
    found = [place for place in asked.tolist() if _is_machine(place, mails)]
    events, received_at = signals.event.copy(), signals.received_at.copy()
    events[rows[found]] = np.where(event[found] == _OPEN, _MACHINE_OPEN, _MACHINE_CLICK)
    received_at[rows] = known
    return _in_order(replace(signals, event=events, received_at=received_at), owner)


_SENT: Final = tuple(code(key) for key, channel in CONTACT_EVENTS.items() if channel == "email")
_OPEN, _CLICK = (code(event) for event in BY_MACHINE)
_MACHINE_OPEN, _MACHINE_CLICK = (code(event_key(event, MACHINE)) for event in BY_MACHINE)
_LOOKED_AT: Final = np.array([*_SENT, _OPEN, _CLICK, _MACHINE_OPEN, _MACHINE_CLICK])


@dataclass(frozen=True, slots=True)
class _Mails:
    """Sendings, opens and clicks: when each was heard of, and from when on it counts."""

    event: Int64Array
    at: Int64Array
    heard: Int64Array
    known: Int64Array
    who: Int64Array


def _is_machine(place: int, mails: _Mails) -> bool:
    """Whether a message was sent within seconds before, or this click is one of a burst."""
    at, event = mails.at[place], mails.event[place]
    clicks = 0
    for other in _around(place, mails):
        if mails.heard[other] > mails.known[place]:
            continue
        age = at - mails.at[other]
        if mails.event[other] in _SENT and 0 <= age < TOO_SOON:
            return True
        clicks += abs(age) < BURST and mails.event[other] in (_CLICK, _MACHINE_CLICK)
    return event == _CLICK and clicks >= BURST_CLICKS


def _around(place: int, mails: _Mails) -> Iterator[int]:
    """Places of the same customer from `TOO_SOON` before until `BURST` after."""
    at, who = mails.at, mails.who
    for other in range(place, -1, -1):
        if who[other] != who[place] or at[place] - at[other] >= TOO_SOON:
            break
        yield other
    for other in range(place + 1, len(at)):
        if who[other] != who[place] or at[other] - at[place] >= BURST:
            break
        yield other


def _in_order(signals: SignalColumns, owner: Int64Array | None) -> SignalColumns:
    """Signals of one moment in the order of their other columns, the new keys included."""
    keys = (signals.category, signals.value, signals.amount, signals.event, signals.received_at)
    last = (signals.occurred_at,) if owner is None else (signals.occurred_at, owner)
    order = np.lexsort((*keys, *last))
    return SignalColumns(*(column[order] for column in signals.columns()))
