"""A running service: the open home that every call is answered from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from features.home import Home
from models.messages import load_languages
from serving.answer import Surroundings
from serving.champion import Champion
from serving.settings import Settings
from serving.store import Store

LOCALES: Final = Path(__file__).with_name("locales")  # the languages that we ship


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
    HomeError, InvalidCatalog, InvalidPolicy, InvalidReasonTexts, InvalidMessages, UnusableStore,
    OldSqlite
        If the home cannot be served; the message says what to do.
    """
    home = Home(settings.home)
    about = home.about()
    store = Store.open(home.store)
    champion = Champion(home, store)
    champion.warm_up()
    languages = load_languages((LOCALES, home.locales))
    surroundings = Surroundings(about, champion.last.engine.policy.currency, languages)
    return Service(settings, store, champion, surroundings, clock, rng)
