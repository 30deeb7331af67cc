"""A small home: three customers, a bundle of base rates, consent of two of them."""

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from features.definitions import FEATURES
from features.home import About, Home
from features.signals import ABSENT, DAY, SignalColumns, code
from models.bundle import Bundle, Golden, with_golden_rows
from models.bundle_files import write_bundle
from models.classifier import BaseRate, Classifier
from models.margin import MarginModel
from models.targets import load_targets
from serving.answer import Surroundings
from serving.calls.api import create_app
from serving.champion import Champion
from serving.engine import Engine
from serving.settings import Settings
from serving.storage.store import Store

MIDNIGHT = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z
Ask = Callable[..., httpx.Response]


@dataclass(frozen=True)
class Change:
    """A change of consent."""

    customer_id: str
    channel: str = "email"
    purpose: str = "marketing"
    given: bool = True
    evidence: str | None = "form of 1 May"
    occurred_at: int = MIDNIGHT - 100 * DAY
    received_at: int = MIDNIGHT - 100 * DAY
    objection: bool = False


def orders(*days_ago: float) -> SignalColumns:
    """Orders of 40.00 each, so many days before midnight."""
    at = np.array(sorted(MIDNIGHT - int(days * DAY) for days in days_ago), dtype=np.int64)
    n = len(at)
    event = np.full(n, code("Order Completed"), dtype=np.int64)
    absent = np.full(n, ABSENT, dtype=np.int64)
    return SignalColumns(
        event, at, at, np.full(n, 4000), absent, np.full(n, code("coffee"), dtype=np.int64)
    )


def small_bundle() -> Bundle:
    """Base rates for both questions, and a margin model with round numbers."""
    targets = load_targets()
    rates = {"churn_risk": 0.3, "repurchase_likelihood": 0.4}
    bundle = Bundle(
        as_of=MIDNIGHT,
        feature_names=FEATURES.names,
        fingerprint=FEATURES.fingerprint,
        targets=targets,
        classifiers={
            name: Classifier(BaseRate(math.log(rate / (1 - rate))), FEATURES.names)
            for name, rate in rates.items()
        },
        base_rates=rates,
        margin=MarginModel(0.3, 28, 90.0, 0.5, (30.0,), (1.0, 0.5), 0.1, 10.0),
        metrics=(),
        notes=(),
        golden=Golden((), {}),
    )
    return with_golden_rows(bundle, np.zeros((1, len(FEATURES.names))))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of the past with a store, a bundle in service and a few customers."""
    found = Home(tmp_path / "home")
    found.write_about(About("A shop for tests", clock="data_end", simulated=True))
    with Store.open(found.store) as store:
        store.put_customers(
            [
                ("C-lapsing", orders(40, 60, 80, 100, 120, 140)),
                ("C-new", orders(3)),
                ("C-silent", orders()),
            ]
        )
        store.put_consent_changes([Change("C-lapsing"), Change("C-new", given=True)])
        store.set_data_end(MIDNIGHT)
        store.set_champion(write_bundle(small_bundle(), found.bundles))
    return found


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store.open(home.store) as opened:
        yield opened


@pytest.fixture
def engine(home: Home, store: Store) -> Engine:
    return Champion(home, store).current().engine


@pytest.fixture
def surroundings(home: Home) -> Surroundings:
    return Surroundings(home.about(), "EUR")


@pytest.fixture
def app(home: Home) -> Iterator[FastAPI]:
    made = create_app(Settings(home.path), rng=np.random.default_rng(7))
    yield made
    made.state.service.store.close()


@pytest.fixture(scope="session")
def caller() -> Callable[[FastAPI, str], Ask]:
    """Makes what calls an app, with a key of that name; without a key if it is empty."""

    def made(app: FastAPI, name: str = "test") -> Ask:
        keyed = {}
        if name:
            keyed = {"Authorization": f"Bearer {app.state.service.store.new_key(name)}"}

        def asked(method: str, path: str, **request: Any) -> httpx.Response:
            headers = keyed | request.pop("headers", {})

            async def answer() -> httpx.Response:
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    return await client.request(method, path, headers=headers, **request)

            return asyncio.run(answer())

        return asked

    return made


@pytest.fixture
def ask(app: FastAPI, caller: Callable[[FastAPI], Ask]) -> Ask:
    """Calls the app with a key."""
    return caller(app)


def moved(change: Change, days: int) -> Change:
    """The same change, so many days later."""
    later = change.occurred_at + days * DAY
    return replace(change, occurred_at=later, received_at=later)
