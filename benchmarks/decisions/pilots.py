"""A demo company whose true effects are known, and pilots drawn from it again and again.

The company lives two years without any pilot. At seven moments everybody who may be mailed is
looked at: what is expected of them, what each communication would truly do, and what they did
afterwards without it. A pilot draws communications by lot; whoever gets one does what they did
anyway, and on top what the message does: an order more, a discount taken, or goodbye.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import ANONYMOUS_PREFIX, DAY, HOUR
from features.stage import STAGES, stage
from models.effects import STATE, state_of
from models.expectation import Expectation
from models.targets import load_targets
from serving.arbitration import stated_effect
from serving.catalog import SHIPPED, load_catalog
from serving.communication import Communication
from serving.engine import Engine
from serving.policy import SHIPPED as SHIPPED_POLICY
from serving.policy import Policy, load_policy
from serving.records import ARMS, NO_CONTACT
from training.decision_log import LoggedDecisions
from training.fit import TrainSettings, train
from training.rewards import rewards_after
from training.simulator.company import CompanySize
from training.simulator.contacts import feel, hear_people, part_ways, send_mails, use_app, welcome
from training.simulator.effects import (
    COMMUNICATIONS,
    HORIZON_DAYS,
    MARGIN_RATE,
    OFFER_DAYS,
    pilot_eligible,
    true_effects,
)
from training.simulator.orders import (
    CAMPAIGN_DISCOUNT,
    OWN_DISCOUNT,
    own_discount_chance,
    place_orders,
    run_club,
    visit,
)
from training.simulator.people import Shop, Traits, draw_traits, new_lives
from training.simulator.signals import FILES, SignalBook

FloatArray = NDArray[np.float64]
Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ROUNDS: Final = 7
LEARNED: Final = 0.75  # of the people; policies are judged by the others
LIVES: Final = (welcome, feel, place_orders, visit, run_club, send_mails, use_app, hear_people)
WINBACK: Final = COMMUNICATIONS.index("winback_offer")


@dataclass(frozen=True, slots=True)
class Looks:
    """Customers looked at, n rows; k communications.

    Attributes
    ----------
    person : ndarray of int64, shape (n,)
    rows : ndarray of float64, shape (n, n_features)
    state : ndarray of float64, shape (n, n_state)
    stage : ndarray of int64, shape (n,)
    eligible : ndarray of bool, shape (n, k)
    extra_order, leaves, value : ndarray of float64, shape (n, k)
        Truth: chance of one more order, of goodbye, and the effect in euros.
    quiet, quiet_offer : ndarray of float64, shape (n,)
        What they brought without any message, in the horizon and while an offer would hold.
    basket, habit : ndarray of float64, shape (n,)
        Usual order in euros, and the discount usually found.
    stated : ndarray of float64, shape (n, k)
        Effect that the shipped catalog states.
    expectations : tuple of Expectation
    """

    person: Int64Array
    rows: FloatArray
    state: FloatArray
    stage: Int64Array
    eligible: BoolArray
    extra_order: FloatArray
    leaves: FloatArray
    value: FloatArray
    quiet: FloatArray
    quiet_offer: FloatArray
    basket: FloatArray
    habit: FloatArray
    stated: FloatArray
    expectations: NDArray[np.object_]

    def at(self, where: BoolArray | Int64Array) -> "Looks":
        """Some of the rows."""
        return Looks(*(getattr(self, name)[where] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True, slots=True)
class PilotWorld:
    """Looks to draw pilots from, looks at other people to judge policies by, and who decides."""

    learned: Looks
    judged: Looks
    entries: tuple[Communication, ...]
    policy: Policy

    @property
    def cost(self) -> FloatArray:
        """Of each communication, shape (k,)."""
        return np.array([entry.cost for entry in self.entries])


def pilot_world(people: int, judged: int, seed: int) -> PilotWorld:
    """A company of `people`; at most `judged` looks are kept to judge policies by."""
    rng = np.random.default_rng(seed)
    catalog = load_catalog(SHIPPED, FEATURES.names)
    entries = tuple(catalog.communications[name] for name in COMMUNICATIONS)
    policy = load_policy(SHIPPED_POLICY)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(None, catalog, policy, None, FEATURES)
        looks = _looks(people, rng, Home(Path(folder)), engine)
    part = rng.permutation(people) < LEARNED * people
    learned, others = looks.at(part[looks.person]), looks.at(~part[looks.person])
    kept = rng.permutation(len(others))[:judged]
    return PilotWorld(learned, others.at(np.sort(kept)), entries, policy)


def draw_pilot(
    world: PilotWorld, n: int, rng: np.random.Generator, works: bool = True
) -> LoggedDecisions:
    """`n` decisions by lot and what came of them; no contact has twice the weight of each other.

    Parameters
    ----------
    works : bool
        False: messages do nothing to anybody.
    """
    here = world.learned.at(np.sort(rng.choice(len(world.learned), n, replace=False)))
    weights = np.column_stack([np.full(n, 2.0), here.eligible.astype(np.float64)])
    vector = weights / weights.sum(axis=1, keepdims=True)
    drawn = (np.cumsum(vector, axis=1) <= rng.random(n)[:, None]).sum(axis=1)
    drawn = np.minimum(drawn, len(COMMUNICATIONS))
    reward = here.quiet.copy()
    if works:
        _let_work(here, drawn, reward, rng)
    return LoggedDecisions(
        names=(NO_CONTACT, *COMMUNICATIONS),
        customer_ids=tuple(str(one) for one in range(int(here.person.max()) + 1)),
        customer=here.person,
        decided_at=np.zeros(n, dtype=np.int64),
        chosen=drawn,
        probabilities=vector,
        arm=np.full(n, ARMS.index("uniform"), dtype=np.int8),
        stage=here.stage,
        state=here.state,
        prior=np.column_stack([np.zeros(n), here.stated]),
        reward=reward,
    )


def _let_work(here: Looks, drawn: Int64Array, reward: FloatArray, rng: np.random.Generator) -> None:
    """Change the rewards of those who got something by what it did to them."""
    got = np.flatnonzero(drawn > 0)
    which = drawn[got] - 1
    leaves = rng.random(len(got)) < here.leaves[got, which]
    orders = rng.random(len(got)) < here.extra_order[got, which]
    basket = here.basket[got] * rng.lognormal(0.0, 0.25, len(got))
    own = rng.random(len(got)) < here.habit[got] / OWN_DISCOUNT
    offered = which == WINBACK
    share = np.where(offered, CAMPAIGN_DISCOUNT, np.where(own, OWN_DISCOUNT, 0.0))
    reward[got[leaves]] = np.minimum(reward[got[leaves]], 0.0)  # the orders go, what was lost stays
    reward[got] += orders * basket * (MARGIN_RATE * (1.0 - share) - share)
    taken = np.maximum(here.quiet_offer[got], 0.0) / MARGIN_RATE
    cut = (CAMPAIGN_DISCOUNT - here.habit[got]) * (1.0 + MARGIN_RATE) * taken
    reward[got] -= np.where(offered & ~leaves, cut, 0.0)


# ---- the company -----------------------------------------------------------------------------


def _looks(people: int, rng: np.random.Generator, home: Home, engine: Engine) -> Looks:
    size = CompanySize(people)
    shop = _new_shop(size, rng)
    ids = [
        f"{ANONYMOUS_PREFIX}v-{number}" if visitor else f"C-{number}"
        for number, visitor in enumerate(shop.traits.visitor.tolist())
    ]
    seen = list(_live(shop))
    paths = _write(shop, ids, home.path / "files")
    ingest(paths, None, home, IntakeRules("EUR"))
    log = History(home.signals).load()
    settings = TrainSettings(load_targets(), MARGIN_RATE, HORIZON_DAYS)
    bundle = train(log, FEATURES, settings, seen[0].at).bundle
    engine = replace(engine, bundle=bundle)
    places = {customer_id: place for place, customer_id in enumerate(log.customer_ids)}
    policy = engine.policy
    shorter = replace(policy, horizon_days=OFFER_DAYS)
    parts = []
    for one in seen:
        known = np.array([places[ids[number]] for number in one.who.tolist()])
        moments = np.full(len(known), one.at)
        quiet = rewards_after(log, known, moments, policy, size.end_at())
        quiet_offer = rewards_after(log, known, moments, shorter, size.end_at())
        rows = feature_matrix(FEATURES, log, known, moments)
        parts.append(_look(one, rows, (quiet, quiet_offer), shop.traits, engine))
    return Looks(*(np.concatenate([getattr(p, n) for p in parts]) for n in Looks.__slots__))


@dataclass(frozen=True, slots=True)
class _Seen:
    """Truth about those who may be mailed at one moment."""

    at: int
    who: Int64Array
    eligible: BoolArray
    extra_order: FloatArray
    leaves: FloatArray
    value: FloatArray


def _new_shop(size: CompanySize, rng: np.random.Generator) -> Shop:
    traits = draw_traits(rng, size.people, size.days)
    start = size.end_at() - size.days * DAY
    return Shop(traits, new_lives(traits), SignalBook(), rng, start, size.days)


def _live(shop: Shop) -> Iterator[_Seen]:
    """Live day by day; on each look, whom one may mail and what it would do."""
    looked = {shop.days - 1 - HORIZON_DAYS * (1 + back) for back in range(ROUNDS)}
    for day in range(shop.days):
        shop.day = day
        if day in looked:
            lives = shop.lives
            may = lives.known & lives.mail_consent & ~lives.ended & ~lives.objector
            who = np.flatnonzero(may)
            truth = true_effects(shop)
            yield _Seen(
                shop.start + day * DAY + 9 * HOUR,
                who,
                pilot_eligible(shop)[who],
                truth.extra_order[who],
                truth.leaves[who],
                truth.value[who],
            )
        for part in (*LIVES, part_ways):
            part(shop)
    shop.day = shop.days


def expected(row: FloatArray, engine: Engine) -> Expectation:
    """What the engine's bundle expects of a customer."""
    if engine.bundle is None:
        raise LookupError("the engine has no bundle; train one first")
    return engine.bundle.expect(row, FEATURES, None)


def _write(shop: Shop, ids: list[str], folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    end = shop.start + shop.days * DAY
    paths = []
    for name in FILES:
        path = folder / f"{name}.parquet"
        pq.write_table(shop.book.table(name, pa.array(ids), end), path)
        paths.append(path)
    return paths


def _look(
    seen: _Seen,
    rows: FloatArray,
    quiet: tuple[FloatArray, FloatArray],
    traits: Traits,
    engine: Engine,
) -> Looks:
    n, entries = len(rows), [engine.catalog.communications[name] for name in COMMUNICATIONS]
    state, stages = np.zeros((n, len(STATE))), np.zeros(n, dtype=np.int64)
    stated, expectations = np.zeros((n, len(entries))), np.empty(n, dtype=object)
    for place, row in enumerate(rows):
        features = dict(zip(FEATURES.names, row.tolist(), strict=True))
        told = expected(row, engine)
        at_stage = stage(features, False, engine.stage_windows)
        state[place] = state_of(told, features, at_stage)
        stages[place] = STAGES.index(at_stage)
        stated[place] = [stated_effect(entry, told, engine.policy)[0] for entry in entries]
        expectations[place] = told
    return Looks(
        person=seen.who,
        rows=rows,
        state=state,
        stage=stages,
        eligible=seen.eligible,
        extra_order=seen.extra_order,
        leaves=seen.leaves,
        value=seen.value,
        quiet=quiet[0],
        quiet_offer=quiet[1],
        basket=traits.budget[seen.who] / 100.0,
        habit=(OWN_DISCOUNT * own_discount_chance(traits))[seen.who],
        stated=stated,
        expectations=expectations,
    )
