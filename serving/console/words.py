"""The words of the pages: what stages, flags, arms, rules and scores mean to a marketer."""

from collections.abc import Mapping
from typing import Final

STAGES: Final[Mapping[str, str]] = {
    "visitor": "Not known by name yet.",
    "prospect": "Known, and has not ordered yet.",
    "onboarding": "Ordered for the first time less than a month ago.",
    "active": "Orders as often as usual.",
    "lapsing": "Silent for longer than usual.",
    "lapsed": "Silent for so long that nobody asks any more whether they will leave.",
    "won_back": "Ordered again lately, after a long silence.",
    "ended": "Has ended the relationship.",
}
FLAGS: Final[Mapping[str, str]] = {
    "cart_open": "Left something in the cart.",
    "order_in_transit": "A parcel is on its way.",
    "complaint_open": "A support ticket is open.",
    "renewal_near": "The subscription ends soon.",
    "researching": "Looked at several products this week and ordered none.",
    "advocate": "Would recommend us, or already has.",
    "detractor": "Answered 0 to 6 when asked whether they would recommend us.",
    "high_value": "Worth at least twice the average customer.",
    "objector": "Objected to marketing: hears none and is not scored.",
}
ARMS: Final[Mapping[str, str]] = {
    "holdout": "left without marketing by lot, to measure what the whole programme is worth",
    "uniform": "drawn by lot among all that is allowed, to learn what works",
    "policy": "chosen by worth",
}
RULES: Final[Mapping[str, str]] = {
    "stage": "not for this stage",
    "flag_required": "needs an occasion",
    "flag_blocks": "held back",
    "where": "a condition is not met",
    "score_missing": "a score is not known",
    "not_reviewed": "not reviewed",
    "visitor": "not known by name",
    "objection": "objection",
    "paused": "all marketing is paused",
    "review": "held back by a pause, under review",
    "consent": "no consent",
    "max_discount": "discount too high",
    "repetition": "sent lately",
    "cap": "enough messages for now",
    "caller_channels": "channel not asked for",
    "caller_exclude": "left out by the caller",
    "caller_trigger": "not about what was asked",
    "not_approved": "words not approved",
    "no_terms": "terms not stated",
    "dates": "not in its dates",
    "trigger": "waits for an event",
    "sequence": "waits for the step before",
    "delay": "too early",
    "cancelled": "its moment was ended",
    "moment_over": "its moment is over",
    "no_crisis": "for a crisis only",
    "ended": "the relationship has ended",
    "preferred_channel": "another channel is preferred",
    "capacity": "no place left",
    "budget": "no money left",
    "cool_off": "time to calm down",
    "after_order": "ordered lately",
}
# Why nothing is sent, by the weightiest rule that refused a message.
SILENCES: Final[Mapping[str, str]] = {
    "objection": "this customer objected to marketing",
    "paused": "all marketing is paused",
    "flag_blocks": "marketing is held back while something is open",
    "consent": "there is no consent to what would suit",
    "cap": "enough messages were sent lately",
    "repetition": "what would suit was sent lately",
}
SCORES: Final[Mapping[str, str]] = {
    "churn_risk": "Churn risk",
    "repurchase_likelihood": "Likely to buy again",
    "promoter_likelihood": "Likely promoter",
    "expected_margin": "Expected margin",
}
SHARES: Final = ("churn_risk", "repurchase_likelihood", "promoter_likelihood")
MODELS: Final[Mapping[str, str]] = {
    "lightgbm": "LightGBM",
    "logistic": "Logistic regression",
    "bg_nbd": "BG/NBD (purchase times alone)",
    "pareto_nbd": "Pareto/NBD (purchase times alone)",
    "recency": "Rule by last order",
    "base_rate": "Base rate",
    "ratio": "Ratio estimator",
    "cox": "Rule by last order",
}
BASES: Final[Mapping[str, str]] = {
    "assumed": "assumed: your own judgement in the catalog, not measured yet",
    "mixed": "partly measured, partly assumed",
    "measured": "measured on customers drawn by lot",
}
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def plain(name: str) -> str:
    """A name of ours as words: ``won_back`` -> ``won back``."""
    return name.replace("_", " ")


def of_a_hundred(score: str, value: float, window_days: int) -> str:
    """What a probability means, in people."""
    about = f"about {100 * value:.0f}"
    if score == "churn_risk":
        return (
            f"Of 100 customers like this, {about} placed no order in the next {window_days} days."
        )
    if score == "repurchase_likelihood":
        return f"Of 100 customers like this, {about} ordered again within {window_days} days."
    if score == "promoter_likelihood":
        return (
            f"Of 100 customers like this, {about} would answer 9 or 10 when asked to recommend us."
        )
    return ""


def percent(value: float) -> str:
    """A share as whole percent; never a certainty."""
    if 0 < value < 0.005:
        return "< 1 %"
    if 0.995 <= value < 1:
        return "> 99 %"
    return f"{100 * value:.0f} %"


def money(amount: float, currency: str) -> str:
    """An amount with its currency; a true minus sign."""
    text = f"{abs(amount):,.2f} {currency}"
    return f"\N{MINUS SIGN}{text}" if round(amount, 2) < 0 else text


def between(low: float | None, high: float | None, currency: str) -> str:
    """The ends of an interval after a margin; empty where they are not known."""
    if low is None or high is None:
        return ""
    return f"; for nine in ten such customers {money(low, currency)} to {money(high, currency)}"


def day(moment: str) -> str:
    """A moment of ours as a day, and the time where it is not midnight: 1 Nov 2026, 08:00 UTC."""
    date, _, clock = moment.partition("T")
    year, month, number = date.split("-")
    said = f"{int(number)} {MONTHS[int(month) - 1]} {year}"
    return said if not clock or clock.startswith("00:00") else f"{said}, {clock[:5]} UTC"
