"""Small signal logs made by hand, and the engine that serves the trained home."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from features.home import Home
from features.signals import ABSENT, SignalColumns, SignalLog, code
from serving.champion import company_engine, with_champion
from serving.engine import Engine
from serving.storage.store import Store

# (event, occurred_at), and if need be received_at, amount and value
Fact = (
    tuple[str, int]
    | tuple[str, int, int]
    | tuple[str, int, int, int]
    | tuple[str, int, int, int, int]
)
LogOf = Callable[[Mapping[str, Sequence[Fact]]], SignalLog]


def log_of(facts: Mapping[str, Sequence[Fact]]) -> SignalLog:
    """A log of these facts by customer."""
    names = tuple(sorted(facts))
    rows: list[tuple[int, int, int, int, int]] = []
    starts = [0]
    for name in names:
        mine = sorted(facts[name], key=lambda fact: fact[1])
        for fact in mine:
            received = fact[2] if len(fact) > 2 else fact[1]
            amount = fact[3] if len(fact) > 3 else ABSENT
            value = fact[4] if len(fact) > 4 else ABSENT
            rows.append((code(fact[0]), fact[1], received, amount, value))
        starts.append(len(rows))
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    return SignalLog(
        names,
        np.array(starts, dtype=np.int64),
        SignalColumns(
            event=table[:, 0].copy(),
            occurred_at=table[:, 1].copy(),
            received_at=table[:, 2].copy(),
            amount=table[:, 3].copy(),
            value=table[:, 4].copy(),
            category=np.zeros(len(rows), dtype=np.int64),
        ),
    )


@pytest.fixture(name="log_of", scope="session")
def log_maker() -> LogOf:
    return log_of


@pytest.fixture(scope="session")
def engine(trained: tuple[Home, int]) -> Engine:
    """The trained home's own, its champion in it."""
    home, _ = trained
    with Store.open(home.store) as store:
        return with_champion(company_engine(home), home, store.champion()).engine
