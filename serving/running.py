"""A running service: the open home that every call is answered from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from features.home import Home
from models.messages import load_languages
from serving.answer import Surroundings
from serving.champion import Champion
from serving.failures import Failures
from serving.settings import Settings
from serving.storage.store import Store
from serving.storage.store_file import StoreFailed

LOCALES: Final = Path(__file__).with_name("locales")  # the languages that we ship


@dataclass(slots=True)
class LastRead:
    """What the store last said, for when it cannot be read."""

    data_end: int | None = None


@dataclass(slots=True)
class LastWritten:
    """When the store last proved that it can be written; microseconds UTC. Long ago: never."""

    at: int = -(2**62)


@dataclass(frozen=True, slots=True)
class Service:
    """All that answering needs; made once, at the start.

    Attributes
    ----------
    clock : () -> microseconds UTC
    rng : Generator
        Source of the one random number of a decision.
    failures : Failures
        What failed and was answered all the same.
    started_at : int
        Microseconds UTC.
    """

    settings: Settings
    store: Store
    champion: Champion
    surroundings: Surroundings
    clock: Callable[[], int]
    rng: np.random.Generator
    failures: Failures = field(default_factory=Failures)
    last_read: LastRead = field(default_factory=LastRead)
    last_written: LastWritten = field(default_factory=LastWritten)
    started_at: int = 0

    def now(self) -> int:
        """The data set's own present: the clock, or the end of its data."""
        if self.surroundings.about.clock == "live":
            return self.clock()
        try:
            self.last_read.data_end = self.store.data_end()
        except StoreFailed as error:
            self.failures.note("the present was taken from memory", error)
        end = self.last_read.data_end
        return self.clock() if end is None else end


def open_service(settings: Settings, clock: Callable[[], int], rng: np.random.Generator) -> Service:
    """Open a home for serving and make its first decision fast.

    Raises
    ------
    HomeError, InvalidCatalog, InvalidPolicy, InvalidReasonTexts, InvalidMessages, UnusableStore,
    OldSqlite
        If the home cannot be served; the message says what to do.
    """
    home = Home(settings.home)
    about = home.about()
    store = Store.open(home.store)
    failures = Failures()
    champion = Champion(home, store, failures=failures)
    champion.warm_up()
    languages = load_languages((LOCALES, home.locales))
    surroundings = Surroundings(about, champion.last.engine.policy.currency, languages)
    service = Service(
        settings, store, champion, surroundings, clock, rng, failures, started_at=clock()
    )
    service.now()  # so that it is in memory, whatever happens to the store
    return service
