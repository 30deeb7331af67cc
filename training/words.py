"""One customer's answer as a page of plain text."""

from collections.abc import Iterator, Mapping
from typing import Final, TypedDict, cast

from serving.console.looking import Said, SaidScore
from serving.records import NO_CONTACT

ARM_WORDS: Final = {
    "holdout": "held back by lot, to measure what the whole programme is worth",
    "uniform": "chosen by lot among all that is allowed, to learn what works",
    "policy": "chosen by worth",
}
CHANGES_TOLD: Final = 3
A_CENT: Final = 0.005  # what is less is not told by itself
SCORE_WORDS: Final = {
    "churn_risk": "Churn risk",
    "repurchase_likelihood": "Likely to buy again",
    "promoter_likelihood": "Likely promoter",
}


class _Candidate(TypedDict):
    name: str
    expected_net: float


class _Source(TypedDict):
    label: str
    start: float
    value: float
    money: float


class _Change(TypedDict):
    text: str


class _Lead(TypedDict):
    first: _Candidate
    second: _Candidate
    money: float
    start: float
    sources: list[_Source]
    changes: list[_Change]


class _Answer(Said):
    learning: str
    lead: _Lead | None


def explanation(answer: Mapping[str, object]) -> list[str]:
    """Lines for a person: who, what to send, what it is worth, why, and what was refused."""
    found = cast(_Answer, answer)
    return [
        *_who(found),
        *_what(found),
        *_scores(found),
        *_lead(found),
        *_others(found),
        *_refusals(found),
    ]


def _who(found: _Answer) -> Iterator[str]:
    simulated = ", simulated" if found["data"]["simulated"] else ""
    yield f"{found['customer_id']} at {found['as_of']} ({found['data']['name']}{simulated})"
    flags = ", ".join(flag.replace("_", " ") for flag in found["flags"]) or "none"
    yield f"Stage: {found['stage'].replace('_', ' ')}. Flags: {flags}."


def _what(found: _Answer) -> Iterator[str]:
    yield ""
    named = f"{found['name']} ({found['communication']})"
    silent = found["communication"] == NO_CONTACT
    yield f"Next best communication: {named}" + ("" if silent else f" by {found['channel']}")
    if found["fallback"]:
        yield f"  A fallback: {found['note']}."
        return
    if not silent:
        currency = found["currency"]
        weighed = "" if found["weight"] == 1 else f" times weight {found['weight']:g}"
        if found["response"] != 1:
            weighed += f", answers by {found['channel']} times {found['response']:.2f} in it"
        again = f", {found['novelty']:.2f} for the same again" if found["novelty"] else ""
        yield (
            f"  Worth {found['expected_net']:.2f} {currency} more than silence: effect "
            f"{found['expected_effect']:.2f} (standard error {found['standard_error']:.2f}, "
            f"{found['effect_basis']}){weighed}, less cost {found['cost']:.2f}{again} "
            f"and fatigue {found['fatigue']:.2f}."
        )
        yield f"  Consent: {_consent(found['consent'])}. Not before {found['not_before']}."
    chance = found["selection_probability"]
    yield f"  {ARM_WORDS[found['arm']].capitalize()}; probability {chance:.3f}."
    if found["learning"]:
        yield f"  {found['learning'][:1].upper()}{found['learning'][1:]}."
    yield f"  Ask again at {found['reconsider_at']}."


def _consent(consent: Mapping[str, str | None]) -> str:
    evidence = f", {consent['evidence']}" if consent["evidence"] else ""
    return f"{consent['basis']}{evidence}"


def _scores(found: _Answer) -> Iterator[str]:
    for name, words in SCORE_WORDS.items():
        score = found["scores"].get(name)
        if score is None:
            continue
        yield ""
        if score["value"] is None:
            yield f"{words}: none; {score['note']}"
            continue
        yield (
            f"{words}: {score['value']:.1%} within {score['window_days']} days "
            f"(everyone: {score['base_rate']:.1%}; model: {score['served_by']})"
        )
        for reason in found["reasons"]:
            if reason["score"] == name:
                yield f"  {reason['points']:+5.1f} points  {reason['text']}"
    margin = found["scores"].get("expected_margin")
    if margin is not None and margin["value"] is not None:
        yield ""
        yield (
            f"Margin expected in {margin['window_days']} days: "
            f"{margin['value']:.2f} {found['currency']}{_between(margin)}"
        )


def _between(margin: SaidScore) -> str:
    if margin["low"] is None or margin["high"] is None:
        return ""
    return f", for nine in ten such customers {margin['low']:.2f} to {margin['high']:.2f}"


def _lead(found: _Answer) -> Iterator[str]:
    lead = found["lead"]
    if lead is None:
        return
    yield ""
    yield (
        f"Why {lead['first']['name']} before {lead['second']['name']}: "
        f"{lead['money']:.2f} {found['currency']} more"
    )
    yield f"  {lead['start']:+8.2f}  before anything is known of the customer"
    for source in lead["sources"]:
        if abs(source["money"]) < A_CENT:
            continue
        way = f"{source['value']:.2f}, not {source['start']:.2f}"
        yield f"  {source['money']:+8.2f}  {source['label']}: {way}"
    told = sum(each["money"] for each in lead["sources"] if abs(each["money"]) >= A_CENT)
    rest = lead["money"] - lead["start"] - told
    if abs(rest) >= A_CENT:
        yield f"  {rest:+8.2f}  all else"
    for change in lead["changes"][:CHANGES_TOLD]:
        yield f"  {change['text']}."


def _others(found: _Answer) -> Iterator[str]:
    if found["alternatives"]:
        yield ""
        yield "Also allowed:"
    for other in found["alternatives"]:
        yield f"  {other['expected_net']:8.2f}  {other['communication']}"


def _refusals(found: _Answer) -> Iterator[str]:
    if found["refusals"]:
        yield ""
        yield "Refused, and the nearest change that would let it through:"
    for refusal in found["refusals"]:
        yield f"  {refusal['communication']}: {refusal['rule']}; {refusal['change']}"
