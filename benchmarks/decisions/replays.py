"""Whether the engine draws as it says it does, by its own decide and settle, 100,000 times."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from decisions.demo_home import engine_of, trained_home
from lines import Line
from scipy.stats import chi2

from features.home import Home
from features.signals import DAY
from serving.decision import Engine, Proposal, customer_at, propose, settle
from serving.exploration import arm_of
from serving.records import Ledger
from serving.storage.store import Store
from training.simulator.company import CompanySize

SEED = 1
REPLAYS = 100_000
PEOPLE = 500
DAYS = 400
# Decisions that are drawn again and again: few enough that what is tried in one of a hundred
# draws is seen five times.
DRAWS_OF_EACH = 500
# A cell of the chi-squared sum needs five expected draws. Source: Cochran (1954).
FEWEST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Ready:
    """A customer ready to be decided about, and the ledger of that moment."""

    proposal: Proposal
    ledger: Ledger


def replays() -> Iterator[Line]:
    """Frequencies against probabilities, importance weights, and the silence of the holdout."""
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        home, end = trained_home(Path(folder), CompanySize(people=PEOPLE, days=DAYS), rng)
        engine, ready = prepared(home, end, rng)
    yield from drawn_as_logged(engine, ready, REPLAYS // DRAWS_OF_EACH, DRAWS_OF_EACH, rng)
    yield to_holdout(engine, ready, REPLAYS, rng)


def prepared(home: Home, end: int, rng: np.random.Generator) -> tuple[Engine, tuple[Ready, ...]]:
    """A home's engine, and its customers on the days of the last four weeks before `end`."""
    found = []
    with Store.open(home.store) as store:
        engine = replace(engine_of(home, store), texts=None)  # nobody reads reasons here
        for customer_id in store.customer_ids():
            signals = store.customer_signals(customer_id)
            if signals is None or not len(signals):
                continue
            as_of = end - int(rng.integers(28)) * DAY
            customer = customer_at(customer_id, signals, as_of, engine)
            proposal = propose(customer, engine, store.objected(customer_id, as_of))
            found.append(Ready(proposal, store.ledger(customer_id, as_of)))
    return engine, tuple(found)


def drawn_as_logged(
    engine: Engine, ready: tuple[Ready, ...], some: int, times: int, rng: np.random.Generator
) -> Iterator[Line]:
    """Draw each of some decisions again and again; those with one possibility are left out."""
    statistic, freedom = 0.0, 0
    weights = []
    taken = 0
    for one in _endlessly(ready, engine):
        if taken == some:
            break
        first = settle(one.proposal, engine, one.ledger, 0.0)
        if max(first.probabilities.values()) == 1.0:
            continue
        taken += 1
        names = list(first.probabilities)
        counts = dict.fromkeys(names, 0)
        for uniform in rng.random(times).tolist():
            decision = settle(one.proposal, engine, one.ledger, uniform)
            counts[decision.chosen.communication] += 1
            weights.append(1 / (len(names) * decision.selection_probability))
        add, cells = _cells(counts, first.probabilities, times)
        statistic, freedom = statistic + add, freedom + cells
    yield Line(
        "replays",
        "probabilities",
        f"p of chi-squared, logged against realised probabilities, {len(weights):,} replays",
        float(chi2.sf(statistic, freedom)),
        0.001,
        note=f"chi-squared {statistic:.1f} with {freedom:,} degrees of freedom, {taken:,} "
        "decisions of customers with more than one possibility",
    )
    w = np.array(weights)
    error = float(w.std(ddof=1) / np.sqrt(len(w)))
    yield Line(
        "replays",
        "probabilities",
        "standard errors by which the mean importance weight (uniform / policy) misses 1",
        abs(float(w.mean()) - 1) / error,
        4.0,
        higher=False,
        note=f"mean {w.mean():.4f}, standard error {error:.4f}",
    )


def to_holdout(
    engine: Engine, ready: tuple[Ready, ...], decisions: int, rng: np.random.Generator
) -> Line:
    """Decide about customers of the holdout: real ones, under further ids that fall into it."""
    sent = owed = 0
    number = made = 0
    while made < decisions:
        one = ready[made % len(ready)]
        customer = replace(one.proposal.customer, customer_id=f"H-{number}")
        number += 1
        if arm_of(customer.customer_id, engine.policy, customer.as_of).name != "holdout":
            continue
        made += 1
        proposal = replace(one.proposal, customer=customer)
        chosen = settle(proposal, engine, one.ledger, float(rng.random())).chosen
        sent += chosen.message_class == "marketing"
        owed += chosen.message_class not in ("marketing", "none")
    return Line(
        "replays",
        "holdout",
        f"marketing communications to the holdout, of {decisions:,} decisions",
        float(sent),
        0.0,
        higher=False,
        note=f"{owed:,} messages that are owed (service) went out",
    )


def _endlessly(ready: tuple[Ready, ...], engine: Engine) -> Iterator[Ready]:
    """Each customer outside the holdout, then each again under another id, and so on.

    Another id may fall into another arm, so that all arms that draw are drawn from.
    """
    number = 0
    while True:
        for one in ready:
            customer = one.proposal.customer
            if number:
                customer = replace(customer, customer_id=f"{customer.customer_id}:{number}")
            if arm_of(customer.customer_id, engine.policy, customer.as_of).name != "holdout":
                yield replace(one, proposal=replace(one.proposal, customer=customer))
        number += 1


def _cells(
    counts: dict[str, int], probabilities: dict[str, float], times: int
) -> tuple[float, int]:
    """Chi-squared of one decision and its degrees of freedom; rare cells are put together."""
    pairs = sorted((times * probabilities[name], counts[name]) for name in counts)
    cells: list[tuple[float, int]] = []
    expected, seen = 0.0, 0
    for mean, count in pairs:
        expected, seen = expected + mean, seen + count
        if expected >= FEWEST_EXPECTED:
            cells.append((expected, seen))
            expected, seen = 0.0, 0
    if expected and cells:
        mean, count = cells.pop()
        cells.append((mean + expected, count + seen))
    if len(cells) < 2:
        return 0.0, 0
    return sum((count - mean) ** 2 / mean for mean, count in cells), len(cells) - 1
