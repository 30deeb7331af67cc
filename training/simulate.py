"""The whole loop, for months, on a company whose truth is known: decide, send, hear, learn again.

The engine works in a home of its own, by the very code of `nextbest ingest`, `train` and
`decide --all`. It knows signals alone. Beside it stands who knows the truth, and writes down what
each decision was truly worth.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.definitions import FEATURES
from features.history import History
from features.home import About, Home, write_whole
from features.intake.ingest import IntakeRules, ingest
from features.signals import ANONYMOUS_PREFIX, Int64Array, code, event_key
from features.stage import STAGES
from models.bundle_files import load_bundle, write_bundle
from serving.catalog import SHIPPED, load_catalog
from serving.records import ARMS, NO_CONTACT
from serving.storage.store import Store
from training.everyone import Asking, ask_everyone
from training.home_effects import with_effects
from training.homes import make_home
from training.narrator import Narrator
from training.online import bring_online
from training.retrain import Recipe, retrain
from training.simulator.company import NAME
from training.simulator.effects import COMMUNICATIONS
from training.simulator.living import MONTH_DAYS, LivingCompany, Moment, founded

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FEWEST_PEOPLE: Final = 150  # below, there is nothing to train on
MOST_MONTHS: Final = 24
NAMES: Final = (NO_CONTACT, *COMMUNICATIONS)
_PLACE: Final = {name: place for place, name in enumerate(NAMES)}


class UnusableSimulation(ValueError):
    """A simulation that was asked for in numbers that make none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to simulate.

    Attributes
    ----------
    months : int
        Of four weeks each: one decision a month about everybody.
    people : int
        Visitors, prospects and customers together.
    strength : float
        Factor on all true effects.

    Raises
    ------
    UnusableSimulation
        If one of them is out of bounds.
    """

    months: int = 6
    people: int = 1500
    seed: int = 1
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.months <= MOST_MONTHS:
            raise UnusableSimulation(
                f"--months {self.months}: must be 1 to {MOST_MONTHS}; ask for another number"
            )
        if self.people < FEWEST_PEOPLE:
            raise UnusableSimulation(
                f"--people {self.people}: must be at least {FEWEST_PEOPLE}, or there is too little "
                "to train on; ask for more"
            )
        if self.seed < 0:
            raise UnusableSimulation(f"--seed {self.seed}: must be 0 or more; choose another")
        if not 0 <= self.strength <= 10:
            raise UnusableSimulation(
                f"--effects {self.strength:g}: must be 0 to 10; 1 is as in the demo company"
            )


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions of all months about identified customers, n rows, and what is true of them.

    Attributes
    ----------
    month, person, arm, stage, chosen : ndarray of int64, shape (n,)
        The last three index ARMS, STAGES and NAMES.
    at : ndarray of int64, shape (n,)
        Microseconds UTC.
    probabilities : ndarray of float64, shape (n, n_names)
        As logged; of the holdout it tells nothing of what was allowed.
    effect, error : ndarray of float64, shape (n,)
        What the engine expected of its choice.
    churn_risk : ndarray of float64, shape (n,)
        NaN where none was told.
    value : ndarray of float64, shape (n, n_names)
        Truth: effect of each communication less its cost.
    usual, deaf : ndarray of float64, shape (n,)
    sleeping_dog, left : ndarray of bool, shape (n,)
        Truth; see `Moment`.
    """

    month: Int64Array
    person: Int64Array
    arm: Int64Array
    stage: Int64Array
    chosen: Int64Array
    at: Int64Array
    probabilities: FloatArray
    effect: FloatArray
    error: FloatArray
    churn_risk: FloatArray
    value: FloatArray
    usual: FloatArray
    deaf: FloatArray
    sleeping_dog: BoolArray
    left: BoolArray

    def __len__(self) -> int:
        return len(self.month)

    def at_rows(self, where: BoolArray) -> "Decided":
        """Some of the rows."""
        return Decided(*(getattr(self, name)[where] for name in self.__slots__))

    def of_arm(self, name: str) -> "Decided":
        """Rows of one arm."""
        return self.at_rows(self.arm == ARMS.index(name))

    @property
    def got(self) -> FloatArray:
        """True worth of what was chosen, shape (n,)."""
        return np.asarray(self.value[np.arange(len(self)), self.chosen])


@dataclass(frozen=True, slots=True)
class Ran:
    """A simulation that has been run: its home, still there, and what was decided.

    Attributes
    ----------
    end : int
        Microseconds UTC: the horizon of the last decision is over.
    taught : tuple of int
        Decisions drawn by lot that effects were learned from, at each month's start.
    machine_opens, known_opens : int
        Opens by scanners, and those that were told apart from people's.
    cost : ndarray of float64, shape (n_names,)
        Of one message, in the order of NAMES.
    """

    wanted: Wanted
    home: Home
    company: LivingCompany
    decided: Decided
    end: int
    taught: tuple[int, ...]
    machine_opens: int
    known_opens: int
    cost: FloatArray


def run_in(folder: Path, wanted: Wanted, narrator: Narrator) -> Ran:
    """Live through the history, train once, then decide, live and learn month by month.

    Parameters
    ----------
    folder : Path
        Empty; becomes the home.

    Raises
    ------
    UnusableSimulation
        If the folder is not empty.
    """
    home = _made_home(folder)
    with narrator.step("Living through the history of the company, its pilot included"):
        company = founded(
            np.random.default_rng(wanted.seed), wanted.people, wanted.months, wanted.strength
        )
    _hear(company, home)
    retrain(home, company.now, Recipe(seed=wanted.seed), narrator)
    rows: list[Decided] = []
    taught: list[int] = []
    for month in narrator.each(range(wanted.months), "Months", wanted.months):

        def choose(month: int = month) -> None:
            if month:
                _hear(company, home)
                _learn(home, company.now, wanted.seed)
            taught.append(_decisions_behind(home))
            rows.append(_decide(company, home, month, wanted.seed))

        company.live(MONTH_DAYS, choose)
    _hear(company, home)
    parts = (np.concatenate([getattr(one, name) for one in rows]) for name in Decided.__slots__)
    return Ran(
        wanted,
        home,
        company,
        Decided(*parts),
        company.now,
        tuple(taught),
        company.machine_opens,
        _told_apart(home, company.now),
        _costs(home),
    )


def _made_home(folder: Path) -> Home:
    """A home with our policy and those communications whose truth the simulator knows."""
    if folder.exists() and any(folder.iterdir()):
        raise UnusableSimulation(
            f"--keep {folder}: is not empty; name a folder that is not there yet"
        )
    home = Home(folder)
    make_home(home, About(NAME, "data_end", simulated=True))
    text = SHIPPED.read_text(encoding="utf-8")
    entries = dict(re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[\w+\]$|\Z)", text, re.MULTILINE | re.DOTALL))
    kept = (f"[{name}]\n{entries[name]}" for name in COMMUNICATIONS)
    write_whole(home.catalog, "\n".join(kept).encode())
    return home


def _hear(company: LivingCompany, home: Home) -> None:
    """Take in what arrived since the last time."""
    news = home.path / "files"
    news.mkdir(exist_ok=True)
    paths = []
    for name, table in company.news().items():
        paths.append(news / f"{name}.parquet")
        pq.write_table(table, paths[-1])
    ingest(paths, None, home, IntakeRules("EUR", company.now))
    with Store.open(home.store) as store:
        bring_online(History(home.signals), store)


def _learn(home: Home, as_of: int, seed: int) -> None:
    """Learn the effects again, from the lot's rows alone; the scores stay as they were trained."""
    with Store.open(home.store) as store:
        sha = store.champion() or ""
    log = History(home.signals).load(received_before=as_of)
    bundle = load_bundle(home.bundles / sha, FEATURES)
    notes = tuple(one for one in bundle.notes if not _of_effects(one))
    bundle = replace(bundle, as_of=as_of, notes=notes)
    learned = write_bundle(with_effects(bundle, home, log, as_of, seed), home.bundles)
    with Store.open(home.store) as store:
        store.set_champion(learned)


def _of_effects(note: str) -> bool:
    return note.startswith(("Effects", *(f"{name}: " for name in COMMUNICATIONS)))


def _decisions_behind(home: Home) -> int:
    """Decisions that the effects in service were learned from."""
    with Store.open(home.store) as store:
        bundle = load_bundle(home.bundles / (store.champion() or ""), FEATURES)
    for note in bundle.notes:
        found = re.match(r"Effects were learned from ([\d,]+) decisions", note)
        if found:
            return int(found[1].replace(",", ""))
    return 0


def _decide(company: LivingCompany, home: Home, month: int, seed: int) -> Decided:
    """Decide for everybody, as `decide --all` does; send it, and write down what is true of it."""
    now, moment = company.now, company.moment()
    out = home.path / "decisions.parquet"
    ask_everyone(Asking(home, now, logs=True, seed=seed * 100 + month), out, Narrator(quiet=True))
    told = {row["customer_id"]: row for row in pq.read_table(out).to_pylist()}
    with Store.open(home.store) as store:
        past = [one for one in store.past_decisions(now + 1) if one.as_of == now]
    people = {name: person for person, name in enumerate(company.ids.to_pylist())}
    past = [one for one in past if not one.customer_id.startswith(ANONYMOUS_PREFIX)]
    who = np.array([people[one.customer_id] for one in past], dtype=np.int64)
    chosen = np.array([_PLACE[one.communication] for one in past], dtype=np.int64)
    probabilities = np.zeros((len(past), len(NAMES)))
    for row, one in enumerate(past):
        for name, probability in one.probabilities.items():
            probabilities[row, _PLACE[name]] = probability
    mine = [told[one.customer_id] for one in past]
    leaves_at = np.array([np.datetime64(one["not_before"].rstrip("Z"), "us") for one in mine])
    sent = chosen > 0
    company.send(who[sent], leaves_at.astype(np.int64)[sent], chosen[sent] - 1, moment)
    n = len(past)
    return Decided(
        month=np.full(n, month),
        person=who,
        arm=np.array([ARMS.index(one.arm) for one in past]),
        stage=np.array([STAGES.index(one.stage) for one in past]),
        chosen=chosen,
        at=np.full(n, now),
        probabilities=probabilities,
        effect=np.array([one["expected_effect"] for one in mine], dtype=np.float64),
        error=np.array([one["standard_error"] for one in mine], dtype=np.float64),
        churn_risk=np.array([one.scores.get("churn_risk", np.nan) for one in past]),
        value=_net_values(moment, who, home),
        usual=moment.usual[who],
        deaf=moment.deaf[who],
        sleeping_dog=moment.sleeping_dog[who],
        left=moment.left[who],
    )


def _net_values(moment: Moment, who: Int64Array, home: Home) -> FloatArray:
    """True effect of each communication less its cost; no contact is 0."""
    effects = np.column_stack([np.zeros(len(who)), moment.effects.value[who]])
    return np.asarray(effects - _costs(home))


def _costs(home: Home) -> FloatArray:
    """What each communication costs, in the order of NAMES."""
    entries = load_catalog(home.catalog, FEATURES.names).communications
    return np.array([0.0, *(entries[name].cost for name in COMMUNICATIONS)])


def _told_apart(home: Home, end: int) -> int:
    """Opens that the intake took for a machine's."""
    events = History(home.signals).load(received_before=end).columns.event
    return int((events == code(event_key("Email Opened", "machine"))).sum())
