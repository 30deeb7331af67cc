"""Decide for every customer and write one row each."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from features.counting import counted
from features.home import Home
from models.expectation import SCORES
from serving.answer import Json, Surroundings, answer, table
from serving.champion import InService, company_engine, with_champion
from serving.desk import Question, Ready, answer_to, preview, ready_to_choose, recorded
from serving.explanation import told
from serving.prices import FREE, Prices, money_used
from serving.records import Candidate, Decision, Ledger
from serving.storage.store import Store
from training.budget import MONEY, demand_of, market_prices, tried_beyond
from training.narrator import Narrator
from training.row_file import Cell, require_writable, schema_of, write_rows

COLUMNS: Final = (
    "customer_id",
    "as_of",
    "communication",
    "channel",
    "arm",
    "selection_probability",
    "expected_effect",
    "standard_error",
    "expected_net",
    "effect_basis",
    *SCORES,
    "stage",
    "flags",
    "reasons",
    "refusals",
    "not_before",
    "reconsider_at",
    "bundle",
    "policy",
)
NUMBERS: Final = frozenset(
    {
        "selection_probability",
        "expected_effect",
        "standard_error",
        "expected_net",
        *SCORES,
    }
)
SCHEMA: Final = schema_of(COLUMNS, NUMBERS)

TOGETHER: Final = 50  # decisions that share one disk sync; a caller waits some milliseconds

Row = dict[str, Cell]
Answer = dict[str, Json]
Answers = list[Answer]
Last = Mapping[str, str]


class UnusableSeed(ValueError):
    """A number from which no others can be drawn."""


class Untrained(LookupError):
    """There is no bundle to decide with."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Where and when decisions are asked for.

    Attributes
    ----------
    logs : bool
        Whether they are recorded and count against caps, as a call's would.
    seed : int or None
        Of the numbers that exploration draws; None: fresh ones.
    changed_only : bool
        Whether customers are left out whose last logged decision still holds, or would be made
        again. Nothing is logged of them: that decision goes on, and no cap is used up for a
        message that is not sent again.

    Raises
    ------
    UnusableSeed
        If the seed is negative.
    """

    home: Home
    as_of: int
    logs: bool
    seed: int | None = None
    changed_only: bool = False

    def __post_init__(self) -> None:
        if self.seed is not None and self.seed < 0:
            raise UnusableSeed(f"seed {self.seed}: must be 0 or more; choose another")


@dataclass(slots=True)
class Purse:
    """What a run has spent.

    Attributes
    ----------
    left : float or None
        Of the budget, currency units; None: there is no budget.
    spent : float
        On marketing so far.
    taken : Counter
        How often each communication was chosen.
    """

    left: float | None = None
    spent: float = 0.0
    taken: Counter[str] = field(default_factory=Counter)

    def pay(self, chosen: Candidate) -> None:
        """Take the cost of what was chosen out of the purse."""
        paid = money_used(chosen.message_class, chosen.cost)
        self.spent += paid
        self.taken[chosen.communication] += 1
        if self.left is not None:
            self.left -= paid


@dataclass(frozen=True, slots=True)
class Run:
    """What a run for everybody came to.

    Attributes
    ----------
    communications : mapping of communication to count, most frequent first
    prices : Prices
        At which the budget and the places were shared out.
    budget : float or None
        What the run might spend, currency units; None: there is no budget.
    of_week : (float, float) or None
        The budget of seven days and what was spent of it before; None: there is none.
    tried : mapping of limit to (most, float)
        Limits that trying things out alone would exceed, and by how much it would use.
    """

    communications: Mapping[str, int]
    prices: Prices
    budget: float | None
    spent: float
    currency: str
    of_week: tuple[float, float] | None = None
    tried: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The budget and the prices in words; nothing if nothing was scarce."""
        found = []
        if self.budget is not None:
            week = ""
            if self.of_week is not None:
                whole, before = self.of_week
                week = f" (of {whole:,.2f} for seven days {before:,.2f} were spent before)"
            found.append(
                f"budget {self.budget:,.2f} {self.currency}{week}, spent {self.spent:,.2f}; "
                f"price of money {self.prices.money:.4f}: a message had to bring "
                f"{1 + self.prices.money:.4f} for each 1.00 it costs"
            )
        found.extend(
            f"price of a place for {name}: {price:,.2f} {self.currency}"
            for name, price in self.prices.places.items()
        )
        found.extend(self._by_lot(*one) for one in self.tried.items())
        return found

    def _by_lot(self, limit: str, of: tuple[float, float]) -> str:
        """That a limit is too small to be shared out by worth."""
        most, tried = of
        left = f"{most:g} {self.currency}" if limit == MONEY else counted(round(most), "place")
        what = "the budget" if limit == MONEY else limit
        cure = "the budget" if limit == MONEY else "capacity_per_week"
        return (
            f"{what}: {left} left, and trying things out alone asks for {tried:,.2f}; so "
            f"the lot decides who gets it, not worth; raise {cure}, or lower epsilon and "
            "uniform_share"
        )

    def record(self) -> dict[str, Json]:
        """The same for programs."""
        return {
            "communications": dict(self.communications),
            "budget": self.budget,
            "budget_per_week": None if self.of_week is None else self.of_week[0],
            "spent_in_week_before": None if self.of_week is None else round(self.of_week[1], 2),
            "spent": round(self.spent, 2),
            "price_of_money": self.prices.money,
            "prices_of_places": dict(self.prices.places),
            "tried_beyond": {limit: tried for limit, (_, tried) in self.tried.items()},
        }


@dataclass(frozen=True, slots=True)
class _Desk:
    """An open store and the engine that its champion row names."""

    asking: Asking
    store: Store
    serving: InService
    surroundings: Surroundings
    purse: Purse = field(default_factory=Purse)

    def answer(self, customer_id: str, uniform: float) -> Answer:
        """The answer that a call would get."""
        question = Question(customer_id, self.asking.as_of, uniform)
        ask = answer_to if self.asking.logs else preview
        serving = self.serving
        found = ask(question, self.store, serving.engine, self.surroundings, serving.note)
        return dict(json.loads(found))

    def why(self, customer_id: str, uniform: float) -> Answer:
        """The answer that a call would get, and its lead."""
        question, serving = Question(customer_id, self.asking.as_of, uniform), self.serving
        ready = ready_to_choose(question, self.store, serving.engine, serving.note)
        decision = self.looked_at(question, ready)
        say = self.surroundings.language.say
        return answer("", decision, self.surroundings) | told(
            decision, self.store, serving.engine, say
        )

    def answers(self, customer_ids: Sequence[str], draws: Sequence[float], last: Last) -> Answers:
        """Answers for a few customers, logged in one commit; unchanged ones are left out.

        Parameters
        ----------
        last : mapping of customer to communication
            What each was last told.
        """
        prepared = list(self.ready(customer_ids, draws, last))
        if not self.asking.logs:
            return list(self._looks(prepared, last))
        asked = [each for each in prepared if self._is_new(*each, last)]
        with self.store.together():
            return [self._logged(question, ready) for question, ready in asked]

    def _looks(self, prepared: Iterable[tuple[Question, Ready]], last: Last) -> Iterator[Answer]:
        for question, ready in prepared:
            decision = self.looked_at(question, ready)
            if last.get(question.customer_id) != decision.chosen.communication:
                self.purse.pay(decision.chosen)
                yield answer("", decision, self.surroundings)

    def _is_new(self, question: Question, ready: Ready, last: Last) -> bool:
        """Whether the customer would be told something else than last time."""
        told = last.get(question.customer_id)
        return told is None or told != self.looked_at(question, ready).chosen.communication

    def ready(
        self, customer_ids: Sequence[str], draws: Sequence[float], last: Last
    ) -> Iterator[tuple[Question, Ready]]:
        """All that is computed before the store's transaction, but for those told what holds."""
        as_of, serving = self.asking.as_of, self.serving
        for customer_id, uniform in zip(customer_ids, draws, strict=True):
            if customer_id in last and self.store.standing(customer_id, as_of) is not None:
                continue
            question = Question(customer_id, as_of, uniform)
            yield question, ready_to_choose(question, self.store, serving.engine, serving.note)

    def looked_at(self, question: Question, ready: Ready) -> Decision:
        """What would be decided now; nothing is logged."""
        ledger = self.store.ledger(question.customer_id, question.as_of, ready.limited)
        taken = ledger.taken if self.asking.logs else Counter(ledger.taken) + self.purse.taken
        return ready.choose(replace(ledger, money_left=self.purse.left, taken=taken))

    def _logged(self, question: Question, ready: Ready) -> Answer:
        """Decide within what is left of the budget, log and answer."""
        chosen: list[Candidate] = []

        def choose(ledger: Ledger) -> Decision:
            decision = ready.choose(replace(ledger, money_left=self.purse.left))
            chosen.append(decision.chosen)
            return decision

        paying = replace(ready, choose=choose)
        found = recorded(question, paying, self.store, self.surroundings)
        self.purse.pay(chosen[-1])
        return dict(json.loads(found))


@contextmanager
def _desk(asking: Asking) -> Iterator[_Desk]:
    home = asking.home
    about, engine = home.about(), company_engine(home)
    with Store.open(home.store) as store:
        serving = with_champion(engine, home, store.champion())
        yield _Desk(asking, store, serving, Surroundings(about, engine.policy.currency))


def ask_one(customer_id: str, asking: Asking) -> Answer:
    """Answer for one customer, as over HTTP."""
    with _desk(asking) as desk:
        return desk.answer(customer_id, float(np.random.default_rng(asking.seed).random()))


def ask_why(customer_id: str, asking: Asking) -> Answer:
    """As `ask_one`, with why the first by worth is before the next; nothing is logged."""
    with _desk(asking) as desk:
        return desk.why(customer_id, float(np.random.default_rng(asking.seed).random()))


def answers(asking: Asking, customer_ids: Iterable[str]) -> Iterator[Answer]:
    """Answers for some customers, in the order given."""
    rng = np.random.default_rng(asking.seed)
    with _desk(asking) as desk:
        for customer_id in customer_ids:
            yield desk.answer(customer_id, float(rng.random()))


def ask_everyone(asking: Asking, out: Path, narrator: Narrator) -> Run:
    """Write one row for every customer.

    Where money or places are scarce, everybody is looked at first, to find the prices at which
    they are shared out; then each is decided at these prices.

    Raises
    ------
    WrongFile
        If `out` cannot be written under that name.
    Untrained
        If no bundle is in service.
    """
    require_writable(out)
    rng = np.random.default_rng(asking.seed)
    counts: Counter[str] = Counter()
    with _desk(asking) as desk:
        engine = desk.serving.engine
        if engine.bundle is None:
            raise Untrained(f"{asking.home.path}: {desk.serving.note}")
        customer_ids = desk.store.customer_ids()
        last = desk.store.last_communications() if asking.changed_only else {}
        week = engine.policy.budget.per_week
        before = 0.0 if week is None else desk.store.spent_in_week(asking.as_of)
        budget = engine.policy.budget.left(before)
        prices, tried = _prices(desk, customer_ids, last, budget, narrator)
        serving = replace(desk.serving, engine=replace(engine, prices=prices))
        paying = replace(desk, serving=serving, purse=Purse(budget))
        told = iter(narrator.each(customer_ids, "Deciding", len(customer_ids)))

        def rows() -> Iterator[Row]:
            while some := list(islice(told, TOGETHER)):
                for found in paying.answers(some, rng.random(len(some)).tolist(), last):
                    counts[str(found["communication"])] += 1
                    yield row_of(found)

        write_rows(rows(), out, SCHEMA)
        spent, currency = paying.purse.spent, engine.policy.currency
    of_week = None if week is None else (week, before)
    return Run(dict(counts.most_common()), prices, budget, spent, currency, of_week, tried)


def _prices(
    desk: _Desk,
    customer_ids: Sequence[str],
    last: Last,
    budget: float | None,
    narrator: Narrator,
) -> tuple[Prices, Mapping[str, tuple[float, float]]]:
    """Prices at which what everybody would choose fits the budget and the places left.

    And the limits that trying things out alone would exceed: see `Run.tried`.
    """
    engine, as_of = desk.serving.engine, desk.asking.as_of
    limits = {
        name: float(entry.capacity_per_week)
        for name, entry in engine.catalog.communications.items()
        if entry.capacity_per_week is not None
    }
    for name, taken in desk.store.places_taken(tuple(limits), as_of).items():
        limits[name] = max(0.0, limits[name] - taken)
    if budget is not None:
        limits[MONEY] = budget
    if not limits or not customer_ids:
        return FREE, {}
    looking = replace(desk, serving=replace(desk.serving, engine=replace(engine, texts=None)))

    def looks() -> Iterator[Decision]:
        told = iter(narrator.each(customer_ids, "Weighing", len(customer_ids)))
        while some := list(islice(told, TOGETHER)):
            for question, ready in looking.ready(some, [0.5] * len(some), last):
                yield looking.looked_at(question, ready)

    demand = demand_of(looks(), limits, engine.policy)
    tried = tried_beyond(demand, limits).items()
    return market_prices(demand, limits), {name: (limits[name], use) for name, use in tried}


def row_of(found: Answer) -> Row:
    """An answer as one row: scores as columns, lists as JSON text."""
    scores = table(found["scores"])
    return {
        name: _cell(name, table(scores.get(name)).get("value") if name in SCORES else found[name])
        for name in COLUMNS
    }


def _cell(name: str, value: Json) -> Cell:
    if value is None:
        return None
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return float(str(value)) if name in NUMBERS else str(value)
