"""The demo company that lives on, month by month, while somebody else decides whom it writes to.

It begins as the demo company does, with its pilot. Then two things are added that the demo
company does not have: scanners that open mails before people do, and communications that slowly
get stronger or weaker. What it knows of the truth is asked here, and only by `nextbest simulate`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from features.signals import DAY, SECOND, Int64Array
from training.simulator.company import CompanySize, ids_of, live_a_day, opened
from training.simulator.effects import (
    COMMUNICATIONS,
    HORIZON_DAYS,
    Effects,
    run_pilot,
    send,
    true_effects,
    usual_orders,
)
from training.simulator.people import Flags, Floats, Shop
from training.simulator.signals import FILES, Details

HISTORY_DAYS: Final = 420  # a year to learn habits from, and the pilot in its second half
MONTH_DAYS: Final = HORIZON_DAYS  # a month has four weeks here: the horizon of a decision
# A mail that was new is old after some months, and another comes into season. So much stronger or
# weaker a month at most: a third in half a year.
DRIFT_A_MONTH: Final = 0.05
SCANNED: Final = 0.08  # of people, whose mail is opened by a scanner; most of them read at work
CLICKS: Final = 0.5  # of the scanners, that follow links too
MAILS: Final = ("Email Sent", "Communication Sent")

Choose = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Moment:
    """What is true of everybody on the morning of a decision; n people, k communications.

    Attributes
    ----------
    effects : Effects
        Of each communication, over the horizon.
    usual : ndarray of float64, shape (n,)
        Orders that come within the horizon by themselves.
    sleeping_dog, left : ndarray of bool, shape (n,)
    deaf : ndarray of float64, shape (n,)
        Share of an effect that is lost to the messages of the last weeks.
    """

    effects: Effects
    usual: Floats
    sleeping_dog: Flags
    left: Flags
    deaf: Floats


@dataclass(slots=True)
class LivingCompany:
    """The shop, its people's ids, and what only this run adds.

    Attributes
    ----------
    strength : float
        Of all true effects; 1: as in the demo company.
    tilt : ndarray of float64, shape (k,)
        By how much each communication gains or loses a month, as a share.
    scanned, clicked : ndarray of bool, shape (n,)
        Whose mails a scanner opens, and follows the links of.
    rng : Generator
        Of all that is added, so that the company itself draws as it always does.
    """

    shop: Shop
    ids: pa.Array
    strength: float
    tilt: Floats
    scanned: Flags
    clicked: Flags
    rng: np.random.Generator
    machine_opens: int = 0
    told_until: int | None = None
    looked_at: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FILES, 0))

    @property
    def now(self) -> int:
        """Midnight before the present day, microseconds UTC."""
        return self.shop.start + self.shop.day * DAY

    def moment(self) -> Moment:
        """The truth of today."""
        shop = self.shop
        return Moment(
            true_effects(shop, self.strength_today()),
            usual_orders(shop, HORIZON_DAYS),
            shop.traits.sleeping_dog,
            shop.lives.left.copy(),
            1.0 - np.exp(-0.15 * shop.lives.pressure),
        )

    def strength_today(self) -> Floats:
        """Factor on what each communication does today, shape (k,)."""
        months = max(0.0, (self.shop.day - HISTORY_DAYS) / MONTH_DAYS)
        return np.asarray(self.strength * (1.0 + self.tilt * months))

    def send(self, who: Int64Array, at: Int64Array, chosen: Int64Array, moment: Moment) -> None:
        """Send what was decided; it does what it truly does. See `effects.send`."""
        send(self.shop, who, at, chosen, moment.effects)

    def live(self, days: int, first: Choose | None = None) -> None:
        """Live on; `first` decides on the first of the days, after the morning's sign-ups."""
        for number in range(days):
            live_a_day(self.shop, _once(first if number == 0 else None))
            self.scan()
            self.shop.day += 1

    def news(self) -> dict[str, pa.Table]:
        """Signals that arrived since they were last asked for, by file."""
        end = self.now
        tables = {
            name: self.shop.book.table(name, self.ids, end, self.told_until) for name in FILES
        }
        self.told_until = end
        return {name: table for name, table in tables.items() if table.num_rows}

    def scan(self) -> None:
        """Let scanners open what was sent today, within seconds, and follow its links at once."""
        book = self.shop.book
        for place in ("email", "pilot"):
            entries = book.entries[place]
            new = entries[self.looked_at[place] :]
            self.looked_at[place] = len(entries)
            for entry in (one for one in new if one.event in MAILS):
                mine = self.scanned[entry.who]
                who = entry.who[mine]
                at = entry.occurred_at[mine] + self.rng.integers(SECOND, 6 * SECOND, len(who))
                category = entry.details.category
                said = Details(category=category if isinstance(category, str) else None)
                book.write("email", "Email Opened", who, at, said)
                self.machine_opens += len(who)
                follows = self.clicked[who]
                for step in range(3):
                    moments = at[follows] + (step + 1) * SECOND // 5
                    book.write("email", "Email Link Clicked", who[follows], moments, said)
        self.looked_at["email"] = len(book.entries["email"])  # a scanner's opens are no mails


def _once(choose: Choose | None) -> Callable[[Shop], None]:
    def decide(_: Shop) -> None:
        if choose is not None:
            choose()

    return decide


def founded(rng: np.random.Generator, people: int, months: int, strength: float) -> LivingCompany:
    """A company that has lived through its history and its pilot, on the first day of months.

    Parameters
    ----------
    rng : Generator
    people : int
        Visitors, prospects and customers together; some of them arrive in the months.
    strength : float
        Factor on all true effects.
    """
    added = rng.spawn(1)[0]
    shop = opened(rng, CompanySize(people, HISTORY_DAYS + months * MONTH_DAYS))
    shop.days = HISTORY_DAYS  # the pilot ends shortly before the last day of the history
    company = LivingCompany(
        shop=shop,
        ids=ids_of(shop),
        strength=strength,
        tilt=added.uniform(-DRIFT_A_MONTH, DRIFT_A_MONTH, len(COMMUNICATIONS)),
        scanned=added.random(people) < SCANNED,
        clicked=added.random(people) < CLICKS,
        rng=added,
    )
    for _ in range(HISTORY_DAYS):
        live_a_day(shop, lambda here: run_pilot(here, strength))
        company.scan()
        shop.day += 1
    shop.days = HISTORY_DAYS + months * MONTH_DAYS
    return company
