"""What is predicted: the question, who it is asked of, and when its answer is known."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from features.signals import KNOWN_EVENTS

CHURN: Final = "churn_risk"
REPURCHASE: Final = "repurchase_likelihood"
PROMOTER: Final = "promoter_likelihood"
NEEDED: Final = (CHURN, REPURCHASE)
TARGET_NAMES: Final = (*NEEDED, PROMOTER)
LEAVING_EVENTS: Final = ("Subscription Cancelled", "Relationship Ended")
PROMOTION: Final = "promotion"
OUTCOMES: Final = ("absence", "presence", PROMOTION)
RECOMMENDATION: Final = "Survey Answered/nps"  # the one event that a promotion is read from
EVER: Final = 0  # of `at_risk_days`: an order at any time before
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
        ``presence``: yes if at least one does; ``promotion``: yes if the customer, asked how
        likely they are to recommend us, says 9 or 10, known of those who answer.
    event : str
        The event that is looked for in the label window.
    window_days : int
        Length of the label window ``[as_of, as_of + window_days)``. Of a promotion: how long
        after a survey was sent an answer still belongs to it.
    at_risk_days : int
        The question is asked of customers with an order in ``[as_of - at_risk_days, as_of)``
        that was known at `as_of`; `EVER`: of all who ordered before, which a promotion may say.
    minimum_rows, minimum_of_each : int
        Rows, and rows of either answer, that training needs before it fits more than a rule.
    """

    name: str
    question: str
    outcome: str
    window_days: int
    at_risk_days: int = EVER
    event: str = "Order Completed"
    minimum_rows: int = 400
    minimum_of_each: int = 40


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


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths in days, as `nextbest doctor` proposes them from the customers' own gaps.

    The defaults are those of a grocery shop, Complete Journey: nine in ten gaps between
    two orders are shorter than 28 days, half are shorter than 7.
    """

    churn_days: int = 28
    at_risk_days: int = 56
    repurchase_days: int = 7


def load_targets(path: Path = SHIPPED) -> Targets:
    """Targets of a `targets.toml`; by default the shipped one.

    Raises
    ------
    InvalidTargets
        If the file is no TOML, or holds a name, a key or a value that is not allowed.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidTargets(
            f"{path}: no such file; `nextbest init` writes one, or name another with --targets"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidTargets(f"{path.name}: not TOML: {error}; mend that line") from error
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
    if churn.window_days == repurchase.window_days and churn.event == repurchase.event:
        raise InvalidTargets(
            f"{source}: {CHURN} and {REPURCHASE} both have window_days = {churn.window_days}; "
            "with one window each is the other turned round; give them different windows"
        )
    if churn.window_days > churn.at_risk_days:
        raise InvalidTargets(
            f"{source}: {CHURN}: window_days = {churn.window_days} is longer than at_risk_days = "
            f"{churn.at_risk_days}; somebody silent for a window must still be at risk; "
            "raise at_risk_days, or shorten the window"
        )
    return targets


def targets_toml(windows: Windows) -> str:
    """Text of a `targets.toml` with these windows, for a company to edit."""
    churn, at_risk, repurchase = (
        windows.churn_days,
        windows.at_risk_days,
        windows.repurchase_days,
    )
    return f"""\
# What is predicted, and of whom. Edit it, then run `nextbest train`.
# `nextbest doctor` proposes the days from your own customers' gaps between orders.
#
# outcome      "absence": yes if the event does not happen in the window; "presence": if it does;
#              "promotion": if the customer, asked for a recommendation, says 9 or 10
# window_days  the window in which the answer shows
# at_risk_days it is asked of customers who ordered within so many days before; left out, of a
#              promotion: of everybody who ever ordered

[{CHURN}]
question = "Will this customer place no order in the next {churn} days?"
outcome = "absence"
event = "Order Completed"
window_days = {churn}
at_risk_days = {at_risk}

[{REPURCHASE}]
question = "Will this customer order again in the next {repurchase} days?"
outcome = "presence"
event = "Order Completed"
window_days = {repurchase}
at_risk_days = {at_risk}

# Learned from surveys of the kind "nps"; without answers to any, this score stays empty.
[{PROMOTER}]
question = "Would this customer say 9 or 10 of 10, asked how likely they are to recommend us?"
outcome = "{PROMOTION}"
event = "{RECOMMENDATION}"
window_days = {SURVEY_DAYS}
"""


def tables(targets: Targets) -> dict[str, dict[str, str | int]]:
    """Inverse of `targets_from_tables`."""
    rows = {target.name: asdict(target) for target in targets.targets}
    for row in rows.values():
        del row["name"]
    return rows


def _target(name: str, table: object, source: str) -> Target:
    where = f"{source}: target '{name}'"
    if not isinstance(table, dict):
        raise InvalidTargets(f"{where}: {table!r}; must be a table; write [{name}] above its keys")
    keys = {field.name: field.type for field in fields(Target) if field.name != "name"}
    for key, value in table.items():
        _require_known(f"{where}: unknown key", key, tuple(keys), "keys")
        kind = int if keys[key] is int else str
        if not isinstance(value, kind) or isinstance(value, bool):
            word = "a whole number" if kind is int else "text in quotes"
            raise InvalidTargets(f"{where}: {key} = {value!r}; must be {word}; correct it")
    needed = ("question", "outcome", "window_days")
    for key in needed if name == PROMOTER else (*needed, "at_risk_days"):
        if key not in table:
            raise InvalidTargets(f"{where}: no '{key}'; it has no default; add it")
    target = Target(name=name, **table)
    _require_ranges(target, where)
    return target


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
    if target.name == PROMOTER:
        _require_known(f"{where}: unknown event", target.event, (RECOMMENDATION,), "events")
    else:
        _require_order_question(target, where)
    if not target.question.strip():
        raise InvalidTargets(f"{where}: question = ''; must say in words what is asked; write it")
    # Two years: more than the history that most shops have, so surely a slip of the keyboard.
    shortest = EVER if target.name == PROMOTER else 1
    limits = (("window_days", 1, 730), ("at_risk_days", shortest, 730))
    for key, low, high in (*limits, ("minimum_rows", 1, 10**9), ("minimum_of_each", 1, 10**9)):
        value = getattr(target, key)
        if not low <= value <= high:
            raise InvalidTargets(
                f"{where}: {key} = {value}; must lie between {low} and {high}; correct it"
            )


def _require_order_question(target: Target, where: str) -> None:
    if target.event not in KNOWN_EVENTS:
        _require_known(f"{where}: unknown event", target.event, tuple(KNOWN_EVENTS), "")
    # A shop's churn is an order that does not come, a contract's is a cancellation that does.
    leaving = target.event in LEAVING_EVENTS
    expected = "absence" if (target.name == CHURN) != leaving else "presence"
    if target.outcome != expected:
        raise InvalidTargets(
            f"{where}: outcome = '{target.outcome}' of '{target.event}'; must be '{expected}', "
            f"since a high {target.name} would else mean its opposite; correct it"
        )


def _require_known(problem: str, word: str, allowed: tuple[str, ...], kind: str) -> None:
    if word in allowed:
        return
    near = get_close_matches(word, allowed, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "correct it or take it out"
    listed = f"{kind} are {', '.join(allowed)}; " if kind and not near else ""
    raise InvalidTargets(f"{problem} '{word}'; {listed}{hint}")
