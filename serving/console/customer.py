"""One customer's page: why this person, why this message."""

import re
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup

from features.algebra import FeatureSet
from features.signals import EMPTY, SignalColumns
from models.bands import band
from serving.answer import Json
from serving.console import words
from serving.console.charts import Step, drawn_waterfall, waterfall
from serving.console.looking import (
    Looking,
    Said,
    SaidReason,
    SaidScore,
    said_of,
    seen_again,
)
from serving.console.page import html
from serving.console.static_files import style_for_one_page
from serving.console.timeline import Entry, timeline
from serving.console.twins import Rows
from serving.explanation import lead_of_answer, learning, source_words
from serving.records import NO_CONTACT

# Shares of all points of a score. Less than slight was folded into the rest by the model's side.
STRONG: Final = 0.25
MODERATE: Final = 0.10
WORD: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")  # a name of ours: it has an underscore
CHANGES_SHOWN: Final = 3
A_CENT: Final = 0.005  # what is less is not shown by itself
NUMBER: Final = re.compile(r"\d+\.\d{2,}")
GROUP_NAMES: Final = {
    "email": "E-mail",
    "app": "App",
    "web": "Visits",
    "other": "Smaller signals",
    "pressure": "Messages sent",
}


@dataclass(frozen=True, slots=True)
class ReasonShown:
    """One sentence, with how much it weighs."""

    text: str
    points: float
    strength: str
    group: str

    @property
    def raises(self) -> bool:
        """Whether it raises the score."""
        return self.points >= 0


@dataclass(frozen=True, slots=True)
class ScoreShown:
    """One score with its meaning; `value` is None where the score does not speak of them."""

    name: str
    title: str
    value: float | None
    band: str
    meaning: str
    everybody: str
    served_by: str
    window_days: int
    note: str
    reasons: tuple[ReasonShown, ...]
    steps: tuple[Step, ...]
    picture: Markup

    @property
    def adds_up(self) -> float:
        """What the steps come to, in percent."""
        return self.steps[-1].end if self.steps else 0.0


@dataclass(frozen=True, slots=True)
class OtherShown:
    """A communication that was allowed and not chosen."""

    title: str
    name: str
    net: str


@dataclass(frozen=True, slots=True)
class RefusalShown:
    """A communication that was refused, and the nearest change that would let it through."""

    title: str
    name: str
    rule: str
    change: str


@dataclass(frozen=True, slots=True)
class LeadShown:
    """Why the first by worth is before the next best: steps that sum to the lead."""

    first: str
    second: str
    money: str
    steps: tuple[tuple[str, str], ...]
    changes: tuple[str, ...]
    learning: str


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """All that the page of one customer says.

    Attributes
    ----------
    answer : Said
        What the service would answer, or answered and still holds to.
    standing : bool
        Whether the answer is one that was given and logged.
    silence : str
        Why nothing is sent, where nothing is.
    between : str
        Between which the margin lies for nine such customers in ten; empty where not known.
    lever, fatigue : str
        The company's lever, and the price of repeated messages; empty where there is none.
    """

    answer: Said
    standing: bool
    silent: bool
    silence: str
    title: str
    message_class: str
    lever: str
    fatigue: str
    scores: tuple[ScoreShown, ...]
    margin: str
    between: str
    others: tuple[OtherShown, ...]
    refusals: tuple[RefusalShown, ...]
    entries: tuple[Entry, ...]
    lead: LeadShown | None = None

    @property
    def leading(self) -> tuple[ScoreShown, ReasonShown] | None:
        """The one reason that moves a score furthest, if there is any."""
        pairs = [
            (score, reason)
            for score in self.scores
            for reason in score.reasons
            if reason.group != GROUP_NAMES["other"]
        ]
        return max(pairs, key=lambda pair: abs(pair[1].points), default=None)

    def record(self) -> dict[str, Json]:
        """The JSON twin: the answer as a call gets it, and the timeline."""
        said: dict[str, Json] = {**self.answer}  # type: ignore[dict-item]
        return {
            "answer": said,
            "standing": self.standing,
            "timeline": [
                {"day": entry.day, "latest_at": entry.at, "text": entry.text, "count": entry.count}
                for entry in self.entries
            ],
        }

    def rows(self) -> Rows:
        """The CSV twin: a fact a row."""
        answer = self.answer
        rows: list[tuple[str | float | None, ...]] = [
            ("communication", answer["communication"], answer["expected_net"], self.title)
        ]
        rows += [("stage", answer["stage"], None, words.STAGES.get(answer["stage"], ""))]
        rows += [("flag", flag, None, words.FLAGS.get(flag, "")) for flag in answer["flags"]]
        for score in self.scores:
            rows.append(("score", score.name, score.value, score.meaning or score.note))
            rows += [("reason", score.name, one.points, one.text) for one in score.reasons]
        rows += [
            ("alternative", one["communication"], one["expected_net"], "")
            for one in answer["alternatives"]
        ]
        if self.lead is not None:
            rows += [("lead", what, None, money) for what, money in self.lead.steps]
            rows += [("change", "", None, change) for change in self.lead.changes]
        rows += [
            ("refusal", one["communication"], None, f"{one['rule']}: {one['change']}")
            for one in answer["refusals"]
        ]
        rows += [("signal", entry.at, entry.count, entry.text) for entry in self.entries]
        return Rows(("what", "name", "value", "words"), tuple(rows))


class UnknownCustomer(LookupError):
    """The store has never heard of this customer."""


def customer_page(customer_id: str, looking: Looking) -> CustomerPage:
    """The page of one customer, from what the service would answer and from their signals.

    Raises
    ------
    UnknownCustomer
        If there is nothing to show.
    """
    signals = looking.store.customer_signals(customer_id)
    if signals is None:
        raise UnknownCustomer(
            f"no customer {customer_id} in {looking.surroundings.about.name}; look at the spelling"
        )
    answer = said_of(customer_id, looking)
    return replace(page_of(answer, looking, signals), lead=lead_shown(answer, looking))


def lead_shown(answer: Said, looking: Looking) -> LeadShown | None:
    """Why the first is before the next best; None where what was answered cannot be seen again.

    An answer that stands was given by the catalog, the policy and the bundle of then.
    """
    decision = seen_again(answer, looking)
    if decision is None:
        return None
    say = looking.surroundings.language.say
    lead = lead_of_answer(decision, looking.store, looking.engine)
    if lead is None:
        return None
    currency = answer["currency"]
    steps = [("Before anything is known", words.money(lead.start, currency))]
    told = [source for source in lead.sources if abs(source.money) >= A_CENT]
    for source in told:
        label = say(source_words(source.name, looking.engine))
        steps.append((label[:1].upper() + label[1:], words.money(source.money, currency)))
    rest = lead.money - lead.start - sum(source.money for source in told)
    if abs(rest) >= A_CENT:
        steps.append(("All else", words.money(rest, currency)))
    return LeadShown(
        first=lead.first.candidate.name,
        second=lead.second.candidate.name,
        money=words.money(lead.money, currency),
        steps=tuple(steps),
        changes=tuple(say(flip.text) for flip in lead.flips[:CHANGES_SHOWN]),
        learning=say(learning(decision)),
    )


def page_of(answer: Said, looking: Looking, signals: SignalColumns = EMPTY) -> CustomerPage:
    """The page of an answer."""
    name, currency = answer["communication"], answer["currency"]
    margin = answer["scores"].get("expected_margin")
    value = None if margin is None else margin["value"]
    fatigue, weight = answer.get("fatigue", 0.0), answer.get("weight", 1.0)
    fatigue += answer.get("novelty", 0.0)
    return CustomerPage(
        answer=answer,
        standing=bool(answer["decision_id"]),
        silent=name == NO_CONTACT,
        silence=silence(answer) if name == NO_CONTACT else "",
        lever="" if weight == 1.0 else f"\N{MULTIPLICATION SIGN} {weight:g}",
        fatigue=words.money(-fatigue, currency) if fatigue else "",
        title=looking.title(name),
        message_class=looking.message_class(name),
        scores=tuple(
            score_shown(score, answer["scores"][score], answer["reasons"])
            for score in words.SHARES
            if score in answer["scores"]
        ),
        margin="" if value is None else words.money(value, currency),
        between=("" if margin is None else words.between(margin["low"], margin["high"], currency)),
        others=tuple(
            OtherShown(
                looking.title(one["communication"]),
                one["communication"],
                words.money(one["expected_net"], currency),
            )
            for one in answer["alternatives"]
        ),
        refusals=tuple(
            RefusalShown(
                looking.title(one["communication"]),
                one["communication"],
                words.RULES.get(one["rule"], words.plain(one["rule"])),
                plain_change(one["change"], looking.engine.features),
            )
            for one in answer["refusals"]
        ),
        entries=timeline(signals, looking.as_of, currency),
    )


def silence(answer: Said) -> str:
    """Why nothing is sent, in one sentence."""
    worth = [one for one in answer["alternatives"] if one["expected_net"] > 0]
    if answer["arm"] == "holdout":
        return "Nothing is sent: left without marketing by lot."
    if worth:
        return "Nothing is sent this time, by lot, to learn what silence does."
    if answer["alternatives"]:
        best = words.money(answer["alternatives"][0]["expected_net"], answer["currency"])
        return f"Nothing is sent: the best message allowed would be worth {best}."
    for rule, said in words.SILENCES.items():
        if any(one["rule"] == rule for one in answer["refusals"]):
            return f"Nothing is sent: {said}."
    return "Nothing is sent: no message suits now."


def plain_change(change: str, features: FeatureSet) -> str:
    """A nearest change in words: labels for features, numbers to one digit."""
    labels = {one.name: one.label[:1].lower() + one.label[1:] for one in features.features}
    named = WORD.sub(lambda found: labels.get(found[0], words.plain(found[0])), change)
    digits = NUMBER.sub(lambda found: f"{float(found[0]):.{1 + found[0].startswith('0')}f}", named)
    return digits.replace("<=", "\N{LESS-THAN OR EQUAL TO}").replace(
        ">=", "\N{GREATER-THAN OR EQUAL TO}"
    )


def score_shown(name: str, score: SaidScore, reasons: list[SaidReason]) -> ScoreShown:
    """One score in words, with the steps that lead to it."""
    value, rate, title = score["value"], score["base_rate"], words.SCORES[name]
    mine = [reason for reason in reasons if reason["score"] == name]
    steps: tuple[Step, ...] = ()
    picture = Markup()
    if value is not None and mine:
        # The starting point is what the points leave: all are tenths, so that the sum is seen
        # to be right. It may differ by a tenth or two from the model's own.
        points = [(group_name(reason["code"]), reason["points"]) for reason in mine]
        start = round(100 * value, 1) - sum(step for _, step in points)
        steps = waterfall(title, round(start, 1), points)
        picture = drawn_waterfall(steps, f"{title}: from the starting point to the score")
    return ScoreShown(
        name=name,
        title=title,
        value=value,
        band="" if value is None else band(value, rate),
        meaning="" if value is None else words.of_a_hundred(name, value, score["window_days"]),
        everybody=words.percent(rate),
        served_by=words.MODELS.get(score["served_by"], words.plain(score["served_by"])),
        window_days=score["window_days"],
        note=score["note"],
        reasons=tuple(reason_shown(reason, mine) for reason in mine),
        steps=steps,
        picture=picture,
    )


def reason_shown(reason: SaidReason, all_of_score: list[SaidReason]) -> ReasonShown:
    """One reason with the word for its weight."""
    whole = sum(abs(one["points"]) for one in all_of_score) or 1.0
    share = abs(reason["points"]) / whole
    strength = "strong" if share >= STRONG else "moderate" if share >= MODERATE else "slight"
    return ReasonShown(reason["text"], reason["points"], strength, group_name(reason["code"]))


def group_name(code: str) -> str:
    """What a group of features is called on a page."""
    return GROUP_NAMES.get(code.lower(), words.plain(code).capitalize())


def customer_file(page: CustomerPage, looking: Looking) -> str:
    """The page of one customer as a single file: its style inside, no script, no link."""
    return html(
        "alone.html",
        {
            "page": page,
            "about": looking.surroundings.about,
            "as_of": page.answer["as_of"],
            "style": Markup(style_for_one_page()),
        },
    )
