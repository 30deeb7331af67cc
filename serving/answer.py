"""The answer to a caller: a decision as JSON, nested or flat."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from features.home import About
from models.bundle import EXPECTED_MARGIN
from models.expectation import Reason, Score
from models.language import ENGLISH, Language, language_of
from serving.records import Candidate, Decision

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PROBABILITY_DIGITS: Final = 4  # a fifth digit says nothing about a person and tells rows apart
MONEY_DIGITS: Final = 2
FLAT_REASONS: Final = 4

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands in every answer, whoever it is about: the data set, its currency, the language.

    Attributes
    ----------
    languages : mapping of locale to Language
        Those that a caller may ask for.
    language : Language
        The one that sentences are said in; names, codes and the company's own texts stay.
    sentences : bool
        Whether refusals say what would have to change; making that is half of an answer's work.
    """

    about: About
    currency: str
    languages: Mapping[str, Language] = field(default_factory=dict)
    language: Language = ENGLISH
    sentences: bool = True

    def heard_in(self, locale: str | None) -> "Surroundings":
        """The same for a caller who asks for a locale; without one, nothing changes."""
        return replace(self, language=language_of(locale, self.languages)) if locale else self


def time_text(at: int) -> str:
    """Microseconds UTC as RFC 3339, such as ``2026-11-01T00:00:00Z``."""
    moment = EPOCH + timedelta(microseconds=at)
    return moment.isoformat().replace("+00:00", "Z")


def rendered(decision_id: str, decision: Decision, surroundings: Surroundings) -> bytes:
    """A decision as the JSON that callers receive."""
    return encoded(answer(decision_id, decision, surroundings))


def encoded(content: Json) -> bytes:
    """JSON as UTF-8; NaN and infinities cannot occur in it.

    Raises
    ------
    ValueError
        If one does.
    """
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()


def answer(decision_id: str, decision: Decision, surroundings: Surroundings) -> dict[str, Json]:
    """A decision under the names of the public contract; rounded, the log has every digit."""
    chosen, versions, about = decision.chosen, decision.versions, surroundings.about
    say = surroundings.language.say
    return {
        "decision_id": decision_id,
        "customer_id": decision.customer_id,
        "as_of": time_text(decision.as_of),
        "decided_at": time_text(decision.as_of),
        "valid_until": time_text(decision.valid_until),
        "communication": chosen.communication,
        "name": chosen.name,
        "channel": chosen.channel,
        "class": chosen.message_class,
        "arm": decision.arm,
        "selection_probability": round(decision.selection_probability, 6),
        "not_before": time_text(decision.not_before),
        "reconsider_at": time_text(decision.reconsider_at),
        "expected_effect": money(chosen.expected_effect),
        "standard_error": money(chosen.standard_error),
        "cost": money(chosen.cost),
        "fatigue": money(chosen.fatigue),
        "novelty": money(chosen.novelty),
        "price": money(chosen.price),
        "weight": chosen.weight,
        "response": round(chosen.response, 4),
        "expected_net": money(chosen.expected_net),
        "currency": surroundings.currency,
        "effect_basis": chosen.effect_basis,
        "evidence": chosen.evidence,
        "stage": decision.stage,
        "flags": list(decision.flags),
        "scores": {name: score(s, say) for name, s in decision.expectation.scores.items()},
        "reasons": [reason(each, say) for each in decision.expectation.reasons],
        "alternatives": [
            {"communication": other.communication, "expected_net": money(other.expected_net)}
            for other in alternatives(decision)
        ],
        "refusals": [
            {
                "communication": refusal.communication,
                "rule": refusal.rule,
                "change": say(refusal.change) if surroundings.sentences else "",
            }
            for refusal in decision.refusals
        ],
        "consent": {"basis": decision.consent.basis, "evidence": decision.consent.evidence},
        "terms": decision.terms,
        "human": decision.human,
        "fallback": decision.fallback,
        "note": say(decision.note),
        "bundle": versions.bundle,
        "catalog": versions.catalog,
        "policy": versions.policy,
        "data": {"name": about.name, "simulated": about.simulated, "clock": about.clock},
    }


def alternatives(decision: Decision) -> tuple[Candidate, ...]:
    """What else was allowed, best first."""
    chosen = decision.chosen.communication
    return tuple(other for other in decision.ranked if other.communication != chosen)


def reason(found: Reason, say: Callable[[str], str]) -> dict[str, Json]:
    """One reason, its points as tenths, its sentence in the caller's language."""
    return {
        "code": found.code,
        "score": found.score,
        "points": round(found.points, 1),
        "direction": found.direction,
        "text": say(found.text),
    }


def score(found: Score, say: Callable[[str], str]) -> dict[str, Json]:
    """One score, rounded; where there is no value, the note says why."""
    digits = MONEY_DIGITS if found.name == EXPECTED_MARGIN else PROBABILITY_DIGITS
    return {
        "value": None if found.value is None else round(found.value, digits),
        "low": None if found.low is None else round(found.low, digits),
        "high": None if found.high is None else round(found.high, digits),
        "window_days": found.window_days,
        "base_rate": round(found.base_rate, digits),
        "served_by": found.served_by,
        "note": say(found.note),
    }


def money(amount: float) -> float:
    """An amount to the cent, without a minus before zero."""
    return round(amount, MONEY_DIGITS) + 0.0


def flat(content: Mapping[str, Json]) -> dict[str, Json]:
    """The same answer without nesting, for systems that map fields one by one.

    Scores become fields of their own name, reasons ``reason_1`` to ``reason_4``, lists one text.
    """
    fields: dict[str, Json] = {
        key: value for key, value in content.items() if not isinstance(value, dict | list)
    }
    fields["flags"] = ", ".join(texts(content["flags"]))
    for name, found in tables(content["scores"]).items():
        fields[name] = found["value"]
        fields[f"{name}_served_by"] = found["served_by"]
        if name == EXPECTED_MARGIN:
            fields |= {f"{name}_low": found["low"], f"{name}_high": found["high"]}
    reasons = [str(reason["text"]) for reason in rows(content["reasons"])]
    for place in range(FLAT_REASONS):
        fields[f"reason_{place + 1}"] = reasons[place] if place < len(reasons) else ""
    fields["alternatives"] = ", ".join(
        str(other["communication"]) for other in rows(content["alternatives"])
    )
    fields["refusals"] = "; ".join(
        f"{refusal['communication']}: {refusal['rule']}" for refusal in rows(content["refusals"])
    )
    for group in ("consent", "data"):
        for key, value in table(content[group]).items():
            fields[f"{group}_{key}"] = value
    return fields


def table(value: Json) -> Mapping[str, Json]:
    """`value`, known to be an object."""
    return value if isinstance(value, Mapping) else {}


def tables(value: Json) -> Mapping[str, Mapping[str, Json]]:
    """`value`, known to be an object of objects."""
    return {key: table(item) for key, item in table(value).items()}


def rows(value: Json) -> list[Mapping[str, Json]]:
    """`value`, known to be a list of objects."""
    return [table(item) for item in value] if isinstance(value, list) else []


def texts(value: Json) -> list[str]:
    """`value`, known to be a list of texts."""
    return [str(item) for item in value] if isinstance(value, list) else []
