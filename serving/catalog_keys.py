"""The keys of a catalog entry that need more than a look: one function each.

All take the entry's table and raise its error.
"""

import datetime as dt
import difflib
import re
from collections.abc import Collection, Iterator
from typing import Final

from features.signals import DAY, HOUR, KEYED_BY, KNOWN_EVENTS, MINUTE
from features.stage import STAGES
from serving.communication import Condition
from serving.plain_text import unseen
from serving.toml_table import LARGEST, Table, as_written, did_you_mean

# An effect is money, so exactly one factor of a prior is money and the rest are probabilities.
# "1" stands for one unit of the currency: the effect is the same for everybody.
MONEY_FACTORS: Final = ("expected_margin", "usual_margin", "1")
PROBABILITY_FACTORS: Final = ("churn_risk", "repurchase_likelihood", "promoter_likelihood")

LONGEST_DAYS: Final = 365  # of a delay, and of the time a moment lasts

_CONDITION: Final = re.compile(
    r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|==|!=|<|>)\s*(-?\d+(?:\.\d+)?)"
    r"(?:\s+unless\s+([a-z_]+(?:\s+or\s+[a-z_]+)*))?\s*"
)
_DURATION: Final = re.compile(r"\s*(\d{1,6})\s+(minute|hour|day|week)s?\s*")
_UNITS: Final = {"minute": MINUTE, "hour": HOUR, "day": DAY, "week": 7 * DAY}
_MOMENT_KEYS: Final = ("delay", "within", "cancel_on")
_ALIKE: Final = 0.85  # how like a known event a name must be to be taken for a slip of the pen


def line_of(entry: Table, key: str) -> str:
    """A text that people read, without what nobody sees."""
    text = entry.text(key)
    hidden = unseen(text)
    if hidden:
        raise entry.wrong(f"{key} holds {hidden}, which nobody sees; leave that character out")
    return text


def truth_or(entry: Table, key: str, otherwise: bool) -> bool:
    """True or false; `otherwise` where nothing is written."""
    return entry.truth(key) if entry.has(key) else otherwise


def number_or_zero(entry: Table, key: str, most: float) -> float:
    """A number up to `most`; 0 where nothing is written."""
    return entry.number(key, 0, most) if entry.has(key) else 0.0


def capacity_of(entry: Table) -> int | None:
    """Places in a week; None where nothing is written."""
    key = "capacity_per_week"
    return entry.whole(key, 1, 1_000_000) if entry.has(key) else None


def words_of(entry: Table, key: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Words of a closed list; none where nothing is written."""
    return entry.some_of(key, allowed) if entry.has(key) else ()


def blocking_flags_of(entry: Table, allowed: Collection[str]) -> tuple[str, ...]:
    """Flags that keep it back; one of those that it needs must be left."""
    blocking = words_of(entry, "blocked_by_flags", allowed)
    needed = entry.values.get("requires_flags")
    if isinstance(needed, list) and needed and all(flag in blocking for flag in needed):
        raise entry.wrong(
            f"blocked_by_flags names '{needed[0]}', which requires_flags asks for, so it can never "
            "be sent; take one of the two out"
        )
    return blocking


def stages_of(entry: Table, message_class: str) -> tuple[str, ...]:
    """The stages, and whether they go together with the rest."""
    stages = entry.some_of("stages", STAGES)
    if not stages:
        raise entry.wrong(f"stages is empty; name at least one of {', '.join(STAGES)}")
    if "visitor" in stages and entry.values.get("personal", True):
        raise entry.wrong(
            "stages names 'visitor', of whom nothing personal may be used; "
            "write personal = false, or take 'visitor' out"
        )
    if "ended" in stages and message_class == "marketing":
        raise entry.wrong(
            "stages names 'ended', to whom no marketing is sent; take 'ended' out, "
            "or correct the class"
        )
    return stages


def condition_of(entry: Table, text: str, names: Collection[str]) -> Condition:
    """One condition of `where`."""
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise entry.wrong(
            f"where '{text}'; must read 'feature op number' with one of "
            "< <= > >= == !=, such as 'days_since_last_order >= 30', and may end in 'unless STAGE'"
        )
    feature, op, number, unless = parts.groups()
    if feature not in names:
        hint = did_you_mean(feature, names) or "; `nextbest features dictionary` lists them all"
        raise entry.wrong(f"where '{text}': unknown feature '{feature}'{hint}")
    stages = tuple(re.split(r"\s+or\s+", unless)) if unless else ()
    for stage in stages:
        if stage not in STAGES:
            hint = did_you_mean(stage, STAGES) or f"; stages are {', '.join(STAGES)}"
            raise entry.wrong(f"where '{text}': unknown stage '{stage}'{hint}")
    condition = Condition(feature, op, float(number), stages)
    if abs(condition.number) > LARGEST:
        raise entry.wrong(
            f"where {as_written(text)}: the number is too large; must be at most a million million"
        )
    if feature in PROBABILITY_FACTORS and not 0 <= condition.number <= 1:
        hint = f"; for {number} % write {condition.number / 100:g}" if condition.number > 1 else ""
        raise entry.wrong(f"where '{text}': {feature} is a share from 0 to 1, not {number}{hint}")
    return condition


def unmeetable(conditions: tuple[Condition, ...]) -> Iterator[tuple[Condition, Condition]]:
    """Of each feature the strictest two conditions, where no number meets both.

    Those with `unless` are not compared: there may be nobody of whom both are asked.
    """
    always = [each for each in conditions if not each.unless]
    for feature in dict.fromkeys(each.feature for each in always):
        asked = [each for each in always if each.feature == feature]
        lows = [each for each in asked if each.op in (">", ">=", "==")]
        highs = [each for each in asked if each.op in ("<", "<=", "==")]
        if not (lows and highs):
            continue
        low = max(lows, key=lambda each: (each.number, each.op == ">"))
        high = min(highs, key=lambda each: (each.number, each.op != "<"))
        is_open = low.op == ">" or high.op == "<"
        if low.number > high.number or (low.number == high.number and is_open):
            yield low, high


def events_of(entry: Table, key: str) -> tuple[str, ...]:
    """Names of events; a company's own ones are welcome, slips of the pen are not."""
    names = entry.texts(key) if entry.has(key) else ()
    if entry.has(key) and not names:
        raise entry.wrong(f"{key} is empty; name an event, or take the line out")
    for name in names:
        event, _, word = name.partition("/")
        if event in KEYED_BY and not word:
            raise entry.wrong(
                f"{key} '{name}' has a {KEYED_BY[event]}, which is part of its name; "
                f"write '{name}/...', such as {_keyed_example(event)}"
            )
        close = difflib.get_close_matches(event, KNOWN_EVENTS, n=1, cutoff=_ALIKE)
        if event not in KNOWN_EVENTS and close:
            raise entry.wrong(f"{key} '{name}' is not known; did you mean '{close[0]}'?")
    return names


def _keyed_example(event: str) -> str:
    return f"'{event}/email'" if KEYED_BY[event] == "channel" else f"'{event}/nps'"


def duration_of(entry: Table, key: str, least: int) -> int:
    """``2 hours`` in microseconds."""
    if not entry.has(key):
        raise entry.wrong(f"'{key}' is missing; say how long the moment lasts: {key} = \"3 days\"")
    text = entry.text(key)
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise entry.wrong(
            f"{key} '{text}'; must read like '20 minutes', '2 hours', '3 days' or '1 week'"
        )
    length = int(parts[1]) * _UNITS[parts[2]]
    if not least <= length <= LONGEST_DAYS * DAY:
        shortest = "0 minutes" if least == 0 else "1 minute"
        raise entry.wrong(f"{key} '{text}'; must be from {shortest} to {LONGEST_DAYS} days")
    return length


def check_moment(entry: Table, trigger: tuple[str, ...], cancel_on: tuple[str, ...]) -> None:
    """What of a moment goes together."""
    if entry.has("trigger") and entry.has("after"):
        raise entry.wrong("has both trigger and after; a step of a sequence waits for the step")
    alone = [key for key in _MOMENT_KEYS if entry.has(key)]
    if alone and not (entry.has("trigger") or entry.has("after")):
        raise entry.wrong(
            f'{alone[0]} without a trigger; add trigger = ["..."], or after = "...", '
            "or take the line out"
        )
    both = [name for name in trigger if name in cancel_on]
    if both:
        raise entry.wrong(
            f"cancel_on names '{both[0]}', which is its trigger; take one of them out"
        )


def dates_of(entry: Table) -> tuple[int | None, int | None]:
    """First moment of `valid_from`, and the first after the day `valid_until`."""
    first, last = _date(entry, "valid_from"), _date(entry, "valid_until")
    if first is not None and last is not None and last < first:
        raise entry.wrong(f"valid_until {last} is before valid_from {first}; correct one of them")
    return _midnight(first), _midnight(None if last is None else last + dt.timedelta(days=1))


def _date(entry: Table, key: str) -> dt.date | None:
    if not entry.has(key):
        return None
    value = entry.found(key)
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime) or value.year < 1970:
        raise entry.wrong(
            f"{key} {as_written(value)}; must be a day from 1970 on, without quotation marks and "
            "without a time: 2026-12-01"
        )
    return min(value, dt.date(9999, 12, 30))


def _midnight(day: dt.date | None) -> int | None:
    return None if day is None else (day - dt.date(1970, 1, 1)).days * DAY


def source_of(prior: Table) -> str:
    """Where the numbers are from; empty where nobody says."""
    source = prior.values.get("source", "")
    if not isinstance(source, str):
        raise prior.wrong(f"source {as_written(source)}; must be a text in quotation marks")
    return source.strip()


def share_of(prior: Table) -> float:
    """What part of its factors the effect is; money where the factor is one unit of it."""
    share = prior.number("share", -1000, 1000)
    is_money = prior.values.get("of") == "1"
    if abs(share) > 1 and not is_money:
        raise prior.wrong(
            f"share {share:g}; a part of a margin lies between -1 and 1; for {share:g} % write "
            f'{share / 100:g}, and for an amount of money of = "1"'
        )
    return share


def factors_of(prior: Table) -> tuple[str, ...]:
    """``"churn_risk * expected_margin"`` as a tuple of its factors."""
    allowed = (*PROBABILITY_FACTORS, *MONEY_FACTORS)
    factors = tuple(factor.strip() for factor in prior.text("of").split("*"))
    for factor in factors:
        prior.known("of", factor, allowed)
    money = [factor for factor in factors if factor in MONEY_FACTORS]
    if len(money) != 1 or len(set(factors)) != len(factors):
        raise prior.wrong(
            f"of '{prior.text('of')}'; must hold exactly one of {', '.join(MONEY_FACTORS)} "
            f"and each of {', '.join(PROBABILITY_FACTORS)} at most once"
        )
    return factors
