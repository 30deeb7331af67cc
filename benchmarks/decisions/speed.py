"""How long one decision takes on the processor, beside one row of LightGBM.

Processor time of this process, in blocks that take turns, and of each the fastest: what else the
machine does can only add. The customers, the models and the ledgers are of a demo company.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
from decisions.demo_home import engine_of, trained_home
from lines import Line

from features.home import About
from models.forest import Forest
from serving.answer import Surroundings
from serving.decision import contacts_in_signals, customer_at, decide
from serving.desk import Question, each_once, preview
from serving.engine import Engine
from serving.records import Customer, Ledger
from serving.storage.store import Store
from training.simulator.company import CompanySize

SEED: Final = 5
PEOPLE: Final = 600
DAYS: Final = 500
CUSTOMERS: Final = 100  # a block
ROUNDS: Final = 25
BAR: Final = 1000.0  # microseconds
DRAW: Final = 0.5


@dataclass(frozen=True, slots=True)
class Subject:
    """A customer as seen before the decision, and what is read under the lock."""

    customer: Customer
    ledger: Ledger


def speed() -> Iterator[Line]:
    """One decision of the demo company's catalog, alone, with reasons, and as a call answers."""
    with tempfile.TemporaryDirectory() as folder:
        size = CompanySize(people=PEOPLE, days=DAYS)
        home, as_of = trained_home(Path(folder), size, np.random.default_rng(SEED))
        with Store.open(home.store) as store:
            yield from _lines(store, engine_of(home, store), home.about(), as_of)


def _lines(store: Store, engine: Engine, about: About, as_of: int) -> Iterator[Line]:
    ids = store.customer_ids()[:CUSTOMERS]
    subjects = [_subject(store, engine, customer_id, as_of) for customer_id in ids]
    quick = replace(engine, texts=None)
    around = Surroundings(about, engine.policy.currency)
    entries = len(engine.catalog.communications)

    booster = _booster(engine)
    peer, alone, with_reasons, answered = _fastest(
        (
            lambda: _lightgbm_rows(booster, subjects),
            lambda: _decide_all(subjects, quick),
            lambda: _decide_all(subjects, engine),
            lambda: _answer_all(ids, store, engine, around, as_of),
        ),
        CUSTOMERS,
    )

    said = f"{entries} communications, prepared engine, ledger in hand; no reasons"
    yield _line("decide", "processor microseconds", alone, peer, said, BAR)
    yield _line("decide", "in rows of LightGBM", alone / peer, 1.0, said)
    yield _line("decide with reasons", "processor microseconds", with_reasons, peer, "")
    yield _line("a call's answer", "processor microseconds", answered, peer, "store, words, JSON")


def _line(
    name: str, figure: str, value: float, peer: float, note: str, bar: float | None = None
) -> Line:
    return Line(
        bench="speed",
        name=name,
        figure=figure,
        value=value,
        bar=bar,
        higher=False,
        peer="one row by LightGBM's Booster.predict",
        peer_value=peer,
        note=note,
    )


def _fastest(blocks: Sequence[Callable[[], None]], count: int) -> list[float]:
    """Microseconds of processor time for one of `count`, in the fastest run of each block.

    The blocks take turns, so that a slow spell of the machine falls upon all of them.
    """
    spent: list[list[float]] = [[] for _ in blocks]
    for _ in range(ROUNDS):
        for block, times in zip(blocks, spent, strict=True):
            before = time.process_time()
            block()
            times.append(time.process_time() - before)
    return [min(times) / count * 1e6 for times in spent]


def _subject(store: Store, engine: Engine, customer_id: str, as_of: int) -> Subject:
    signals = store.customer_signals(customer_id)
    if signals is None:
        raise LookupError(f"customer {customer_id} is in the store and has no signals")
    ledger = store.ledger(customer_id, as_of)
    seen = contacts_in_signals(signals, as_of, engine.memory_days, engine.catalog)
    known = replace(ledger, contacts=each_once(ledger.contacts, seen))
    return Subject(customer_at(customer_id, signals, as_of, engine), known)


def _decide_all(subjects: list[Subject], engine: Engine) -> None:
    for subject in subjects:
        decide(subject.customer, engine, subject.ledger, DRAW)


def _answer_all(
    ids: tuple[str, ...], store: Store, engine: Engine, around: Surroundings, as_of: int
) -> None:
    for customer_id in ids:
        preview(Question(customer_id, as_of, DRAW), store, engine, around)


def _lightgbm_rows(booster: lightgbm.Booster, subjects: list[Subject]) -> None:
    for subject in subjects:
        row = np.array([list(subject.customer.features.values())])
        booster.predict(row, num_threads=1)


def _booster(engine: Engine) -> lightgbm.Booster:
    """The churn model as LightGBM reads it, or that of any other score that it serves."""
    served = [] if engine.bundle is None else list(engine.bundle.classifiers.values())
    forests = [one.model for one in served if isinstance(one.model, Forest)]
    if not forests:
        raise LookupError("LightGBM serves none of the demo company's scores; simulate another one")
    return lightgbm.Booster(model_str=forests[0].text)
