"""A running service: the open home that every call is answered from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from features.home import Home
from serving.answer import Surroundings
from serving.champion import Champion
from serving.settings import Settings
from serving.store import Store


@dataclass(frozen=True, slots=True)
class Service:
    """All that answering needs; made once, at the start."""

    settings: Settings
    store: Store
    champion: Champion
    surroundings: Surroundings
    clock: Callable[[], int]
    rng: np.random.Generator

    def now(self) -> int:
        """The data set's own present: the clock, or the end of its data."""
        if self.surroundings.about.clock == "live":
            return self.clock()
        end = self.store.data_end()
        return self.clock() if end is None else end


def open_service(settings: Settings, clock: Callable[[], int], rng: np.random.Generator) -> Service:
    """Open a home for serving and make its first decision fast.

    Raises
    ------
    HomeError, InvalidCatalog, InvalidPolicy, InvalidReasonTexts, UnusableStore, OldSqlite
        If the home cannot be served; the message says what to do.
    """
    home = Home(settings.home)
    about = home.about()
    store = Store.open(home.store)
    champion = Champion(home, store)
    champion.warm_up()
    surroundings = Surroundings(about, champion.last.engine.policy.currency)
    return Service(settings, store, champion, surroundings, clock, rng)
