"""The engine in service: the bundle that the store's champion row names, loaded once."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from features.definitions import FEATURES
from features.home import Home
from features.signals import EMPTY
from models.bundle import DamagedBundle, load_bundle
from models.explain import load_reason_texts
from serving import catalog, policy
from serving.catalog import load_catalog
from serving.decision import Engine, customer_at, propose
from serving.policy import load_policy
from serving.security import log_failure
from serving.store import Store

SHIPPED_REASONS = Path(__file__).with_name("reasons.toml")


@dataclass(frozen=True, slots=True)
class InService:
    """An engine, and in words why it has no bundle where it has none."""

    sha: str | None
    engine: Engine
    note: str


def company_engine(home: Home) -> Engine:
    """Engine of a home without a bundle: its own catalog, policy and sentences, else ours.

    Raises
    ------
    InvalidCatalog, InvalidPolicy, InvalidReasonTexts
        If one of the three files has a mistake.
    """
    reasons = home.reasons if home.reasons.exists() else SHIPPED_REASONS
    return Engine(
        bundle=None,
        catalog=load_catalog(
            home.catalog if home.catalog.exists() else catalog.SHIPPED, FEATURES.names
        ),
        policy=load_policy(home.policy if home.policy.exists() else policy.SHIPPED),
        texts=load_reason_texts(reasons),
        features=FEATURES,
    )


def with_champion(engine: Engine, home: Home, sha: str | None) -> InService:
    """The engine with a bundle; without one, and a note that says why, if it cannot be used."""
    if sha is None:
        return InService(None, engine, "no bundle is in service yet; run `nextbest train`")
    try:
        bundle = load_bundle(home.bundles / sha.removeprefix("sha256:"), engine.features)
    except (DamagedBundle, OSError) as error:
        log_failure("the champion bundle cannot be used", error)
        return InService(
            sha, engine, "the bundle in service is damaged or missing; run `nextbest train`"
        )
    return InService(sha, replace(engine, bundle=bundle), "")


class Champion:
    """Follows the store's champion row: a change is served from the next decision on.

    Catalog, policy and sentences are read once, at the start: an edit is served after a restart,
    so that half an edit never decides.
    """

    def __init__(self, home: Home, store: Store) -> None:
        self._home, self._store = home, store
        self._lock = threading.Lock()
        self._current = with_champion(company_engine(home), home, store.champion())

    def current(self) -> InService:
        """What serves now. A bundle is loaded once, however many callers wait for it."""
        sha = self._store.champion()
        if sha == self._current.sha:
            return self._current
        with self._lock:
            if sha != self._current.sha:
                empty = replace(self._current.engine, bundle=None)
                self._current = with_champion(empty, self._home, sha)
            return self._current

    @property
    def last(self) -> InService:
        """What served last, without asking the store."""
        return self._current

    def warm_up(self) -> None:
        """Compute one decision's worth for nobody, so that the first caller need not wait."""
        engine = self._current.engine
        customer = customer_at("nobody", EMPTY, 0, engine)
        propose(customer, engine)
