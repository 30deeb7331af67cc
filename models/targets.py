"""What is predicted: the question, who it is asked of, and when its answer is known."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from features.signals import KEYED_BY, KNOWN_EVENTS

CHURN: Final = "churn_risk"
REPURCHASE: Final = "repurchase_likelihood"
PROMOTER: Final = "promoter_likelihood"
NEEDED: Final = (CHURN, REPURCHASE)
TARGET_NAMES: Final = (*NEEDED, PROMOTER)
LEAVING_EVENTS: Final = ("Subscription Cancelled", "Relationship Ended")
# What customers do when something went wrong or is over, and what the company does to them: nobody
# has come back because of it, and nobody is gone for want of it.
NO_RETURN: Final = frozenset(
    {
        "Order Refunded",
        "Order Cancelled",
        "Order Shipped",
        "Order Delivered",
        "Product Removed",
        "Payment Failed",
        "Email Sent",
        "Email Delivered",
        "Email Bounced",
        "Email Marked as Spam",
        "Unsubscribed",
        "SMS Sent",
        "Push Notification Sent",
        "Call Made",
        "Letter Sent",
        "Trial Ended",
        "Trait Set",
        "Consent Withdrawn",
        "Objection Raised",
        "Ticket Opened",
        "Ticket Replied",
        "Ticket Resolved",
        "Decision Made",
    }
)
PROMOTION: Final = "promotion"
LAPSE: Final = "lapse"
OUTCOMES: Final = ("absence", "presence", LAPSE, PROMOTION)
ORDER: Final = "Order Completed"
RUNNING: Final = "running subscription"  # in place of an event: who is asked
SUBSCRIPTION_EVENTS: Final = ("Subscription Started", "Subscription Renewed")
RECOMMENDATION: Final = "Survey Answered/nps"  # the one event that a promotion is read from
EVER: Final = 0  # of `at_risk_days`: at any time before
MOST_WINDOWS: Final = 4  # shown beside the one that serves: each is a training of its own
LONGEST_QUESTION: Final = 300  # characters: two lines of a page
SURVEY_DAYS: Final = 14  # answers come in the first days; a later one tells another mood
SHIPPED: Final = Path(__file__).with_name("targets.toml")


class InvalidTargets(ValueError):
    """A `targets.toml` that cannot be used."""


@dataclass(frozen=True, slots=True)
class Target:
    """One yes-or-no question about the days after `as_of`.

    Attributes
    ----------
    name : str
        Name of the score, one of `TARGET_NAMES`.
    question : str
        The question in words, printed with every score.
    outcome : str
        ``absence``: the answer is yes if no `event` falls into the label window;
        ``presence``: yes if at least one does; ``lapse``: yes if the subscription that runs
        now runs no more at the window's end, cancelled or not renewed; ``promotion``: yes if
        the customer, asked how likely they are to recommend us, says 9 or 10, known of those
        who answer.
    window_days : int
        Length of the label window ``[as_of, as_of + window_days)``. Of a promotion: how long
        after a survey was sent an answer still belongs to it.
    at_risk_days : int
        The question is asked of customers with an `at_risk` event in
        ``[as_of - at_risk_days, as_of)`` that was known at `as_of`; `EVER`: at any time before,
        which a promotion may say, and a running subscription must.
    event : tuple of str
        The events, any of which is looked for in the label window.
    at_risk : tuple of str
        The events, any of which puts a customer at risk; or `RUNNING` alone: the question is
        asked of those whose subscription runs at `as_of`.
    also_window_days : tuple of int
        Other lengths, each fitted and tested beside the one that serves.
    minimum_rows, minimum_of_each : int
        Rows, and rows of either answer, that training needs before it fits more than a rule.
    """

    name: str
    question: str
    outcome: str
    window_days: int
    at_risk_days: int = EVER
    event: tuple[str, ...] = (ORDER,)
    at_risk: tuple[str, ...] = (ORDER,)
    also_window_days: tuple[int, ...] = ()
    minimum_rows: int = 400
    minimum_of_each: int = 40

    @property
    def of_subscribers(self) -> bool:
        """Whether it is asked of those whose subscription runs."""
        return self.at_risk == (RUNNING,)

    @property
    def beginnings(self) -> tuple[str, ...]:
        """Events, the first of which begins a customer's history."""
        return SUBSCRIPTION_EVENTS if self.of_subscribers else self.at_risk

    @property
    def score(self) -> str:
        """The score it is about: its name, without the days of a window beside."""
        return next(name for name in TARGET_NAMES if self.name.startswith(name))

    def beside(self) -> "tuple[Target, ...]":
        """The same question over each of the other windows, named by its days."""
        return tuple(
            replace(self, name=f"{self.name}_{days}d", window_days=days, also_window_days=())
            for days in self.also_window_days
        )


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of one company, by name, in the order of `TARGET_NAMES`."""

    targets: tuple[Target, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scores."""
        return tuple(target.name for target in self.targets)

    def __getitem__(self, name: str) -> Target:
        for target in self.targets:
            if target.name == name:
                return target
        raise InvalidTargets(
            f"no target '{name}'; targets are {', '.join(self.names)}; "
            "add it to targets.toml and train again"
        )

    @property
    def longest_window_days(self) -> int:
        """Days until the answers to all questions about a snapshot are known.

        Promoters are not asked at snapshots but when a survey is sent.
        """
        return max(target.window_days for target in self.targets if target.outcome != PROMOTION)


def load_targets(path: Path = SHIPPED) -> Targets:
    """Targets of a `targets.toml`; by default the shipped one.

    Raises
    ------
    InvalidTargets
        If the file is no TOML, or holds a name, a key or a value that is not allowed.
    """
    try:
        # Some editors begin a file with a mark of its encoding, which TOML does not know.
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InvalidTargets(
            f"{path}: no such file; `nextbest init` writes one, or name another with --targets"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidTargets(f"{path.name}: not TOML: {error}; mend that line") from error
    except RecursionError as error:
        raise InvalidTargets(
            f"{path.name}: not TOML that can be read: its brackets stand too deep in each other; "
            "no key of targets needs more than one pair; take them out"
        ) from error
    return targets_from_tables(found, path.name)


def targets_from_tables(tables: Mapping[str, object], source: str) -> Targets:
    """Targets from parsed tables, one a name; `source` is what errors call them.

    Raises
    ------
    InvalidTargets
        See `load_targets`.
    """
    for name in tables:
        _require_known(f"{source}: unknown target", name, TARGET_NAMES, "targets")
    for name in NEEDED:
        if name not in tables:
            raise InvalidTargets(
                f"{source}: no table [{name}]; both {' and '.join(NEEDED)} are needed; add it"
            )
    named = (name for name in TARGET_NAMES if name in tables)
    targets = Targets(tuple(_target(name, tables[name], source) for name in named))
    churn, repurchase = targets[CHURN], targets[REPURCHASE]
    _require_different(churn, repurchase, source)
    _require_silence_at_risk(churn, source)
    return targets


def _require_different(churn: Target, repurchase: Target, source: str) -> None:
    opposite = churn.outcome != LAPSE and churn.event == repurchase.event
    if churn.window_days == repurchase.window_days and opposite:
        raise InvalidTargets(
            f"{source}: {CHURN} and {REPURCHASE} both have window_days = {churn.window_days}; "
            "with one window each is the other turned round; give them different windows"
        )


def _require_silence_at_risk(churn: Target, source: str) -> None:
    if churn.window_days > churn.at_risk_days and not churn.of_subscribers:
        raise InvalidTargets(
            f"{source}: {CHURN}: window_days = {churn.window_days} is longer than at_risk_days = "
            f"{churn.at_risk_days}; somebody silent for a window must still be at risk; "
            "raise at_risk_days, or shorten the window"
        )


def tables(targets: Targets) -> dict[str, dict[str, str | int | list[str] | list[int]]]:
    """Inverse of `targets_from_tables`."""
    rows = {target.name: asdict(target) for target in targets.targets}
    for row in rows.values():
        del row["name"]
        for key in _SEVERAL:
            row[key] = list(row[key])
        for key in ("event", "at_risk"):
            row[key] = row[key][0] if len(row[key]) == 1 else row[key]
    return rows


# Keys that take several values, and what each of them must be.
_SEVERAL: Final = {"event": str, "at_risk": str, "also_window_days": int}


def _target(name: str, table: object, source: str) -> Target:
    where = f"{source}: target '{name}'"
    if not isinstance(table, dict):
        raise InvalidTargets(f"{where}: {table!r}; must be a table; write [{name}] above its keys")
    keys = {field.name: field.type for field in fields(Target) if field.name != "name"}
    values: dict[str, Any] = {}  # each is checked against the type of its field below
    for key, value in table.items():
        _require_known(f"{where}: unknown key", key, tuple(keys), "keys")
        values[key] = _several(where, key, value) if key in _SEVERAL else value
        kind = int if keys[key] is int else str
        if key not in _SEVERAL and not _is(value, kind):
            word = "a whole number" if kind is int else "text in quotes"
            raise InvalidTargets(f"{where}: {key} = {value!r}; must be {word}; correct it")
    target_of_all = name == PROMOTER or values.get("at_risk") == (RUNNING,)
    needed = ("question", "outcome", "window_days")
    for key in needed if target_of_all else (*needed, "at_risk_days"):
        if key not in table:
            raise InvalidTargets(f"{where}: no '{key}'; it has no default; add it")
    target = Target(name=name, **values)
    _require_ranges(target, where)
    return target


def _several(where: str, key: str, value: object) -> tuple[object, ...]:
    """One value or a list of them, as a tuple."""
    kind = _SEVERAL[key]
    values = tuple(value) if isinstance(value, list) else (value,)
    if not all(_is(one, kind) for one in values) or len(set(values)) < len(values):
        word = "different whole numbers" if kind is int else "one text in quotes, or different ones"
        raise InvalidTargets(f"{where}: {key} = {value!r}; must be {word}; correct it")
    return tuple(sorted(values)) if kind is str else values


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _require_ranges(target: Target, where: str) -> None:
    if target.outcome not in OUTCOMES:
        raise InvalidTargets(
            f"{where}: outcome = '{target.outcome}'; outcomes are {', '.join(OUTCOMES)}; choose one"
        )
    if (target.name == PROMOTER) != (target.outcome == PROMOTION):
        raise InvalidTargets(
            f"{where}: outcome = '{target.outcome}'; must be '{PROMOTION}' for {PROMOTER} and for "
            "no other target; correct it"
        )
    _require_at_risk(target, where)
    if target.name == PROMOTER:
        for event in target.event:
            _require_known(f"{where}: unknown event", event, (RECOMMENDATION,), "events")
    else:
        _require_direction(target, where)
    _require_question(target, where)
    # Two years: more than the history that most shops have, so surely a slip of the keyboard.
    shortest = EVER if target.name == PROMOTER or target.of_subscribers else 1
    limits = (("window_days", 1, 730), ("at_risk_days", shortest, 730))
    for key, low, high in (*limits, ("minimum_rows", 1, 10**9), ("minimum_of_each", 1, 10**9)):
        value = getattr(target, key)
        if not low <= value <= high:
            raise InvalidTargets(
                f"{where}: {key} = {value}; must lie between {low} and {high}; correct it"
            )
    _require_other_windows(target, where)


def _require_question(target: Target, where: str) -> None:
    if not target.question.strip():
        raise InvalidTargets(f"{where}: question = ''; must say in words what is asked; write it")
    # What stands here is said with every score, and a bundle with other characters is refused.
    odd = next((each for each in target.question if not each.isprintable()), "")
    if odd or len(target.question) > LONGEST_QUESTION:
        seen = f"holds {odd!a}" if odd else f"has {len(target.question):,} characters"
        raise InvalidTargets(
            f"{where}: question {seen}; must be one line of at most {LONGEST_QUESTION} printable "
            "characters; write it anew"
        )


def _require_at_risk(target: Target, where: str) -> None:
    if not target.at_risk:
        raise InvalidTargets(f"{where}: at_risk = []; must name at least one event; add it")
    for event in target.at_risk:
        if event not in KNOWN_EVENTS and not target.of_subscribers:
            known = (*KNOWN_EVENTS, RUNNING)
            _require_known(f"{where}: unknown at_risk event", event, known, "")
            raise InvalidTargets(
                f"{where}: at_risk = '{RUNNING}' beside events; it must stand alone; choose"
            )
        _require_whole_name(where, "at_risk", event)
    if target.of_subscribers and target.at_risk_days != EVER:
        raise InvalidTargets(
            f"{where}: at_risk_days = {target.at_risk_days} of a {RUNNING}; whoever has one is "
            "at risk, however long ago it was started; take at_risk_days out"
        )


def _require_direction(target: Target, where: str) -> None:
    """That a high score means what its name says."""
    if target.outcome == LAPSE:
        if target.name != CHURN or not target.of_subscribers:
            raise InvalidTargets(
                f"{where}: outcome = '{LAPSE}'; it is for {CHURN} with at_risk = '{RUNNING}'; "
                "correct one of them"
            )
        return
    if not target.event:
        raise InvalidTargets(f"{where}: event = []; must name at least one; add it")
    for event in target.event:
        if event not in KNOWN_EVENTS:
            _require_known(f"{where}: unknown event", event, tuple(KNOWN_EVENTS), "")
        if event in NO_RETURN:
            raise InvalidTargets(
                f"{where}: event = '{event}'; that is nothing by which a customer comes back or "
                f"leaves; name what they do, such as '{ORDER}'"
            )
        _require_whole_name(where, "event", event)
        # A shop's churn is an order that does not come, a contract's is a cancellation that does.
        leaving = event in LEAVING_EVENTS
        expected = "absence" if (target.name == CHURN) != leaving else "presence"
        if target.outcome != expected:
            raise InvalidTargets(
                f"{where}: outcome = '{target.outcome}' of '{event}'; must be '{expected}', "
                f"since a high {target.name} would else mean its opposite; correct it"
            )


def _require_whole_name(where: str, key: str, event: str) -> None:
    """That an event which is told apart by a word is not named without it: none is called so."""
    if event in KEYED_BY:
        raise InvalidTargets(
            f"{where}: {key} = '{event}'; no signal is called that, since its {KEYED_BY[event]} is "
            "part of its name; name another event"
        )


def _require_other_windows(target: Target, where: str) -> None:
    others = target.also_window_days
    if not others:
        return
    if target.name == PROMOTER or len(others) > MOST_WINDOWS:
        raise InvalidTargets(
            f"{where}: also_window_days = {list(others)}; at most {MOST_WINDOWS}, and none of a "
            "question that is asked by survey; take some out"
        )
    for days in others:
        if not 1 <= days <= 730 or days == target.window_days:
            raise InvalidTargets(
                f"{where}: also_window_days has {days}; each must lie between 1 and 730 and differ "
                f"from window_days = {target.window_days}; correct it"
            )


def _require_known(problem: str, word: str, allowed: tuple[str, ...], kind: str) -> None:
    if word in allowed:
        return
    near = get_close_matches(word, allowed, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "correct it or take it out"
    listed = f"{kind} are {', '.join(allowed)}; " if kind and not near else ""
    raise InvalidTargets(f"{problem} '{word}'; {listed}{hint}")
