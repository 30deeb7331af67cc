"""What each communication truly does to each person, and the pilot that tried them at random.

The effects hang on traits and moods that no feature states, and on their products: a model can
find them only through what they leave behind in signals.
"""

import json
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.signals import DAY, HOUR, MINUTE, Int64Array
from training.simulator.orders import CAMPAIGN_DISCOUNT, OWN_DISCOUNT, own_discount_chance
from training.simulator.people import Flags, Floats, Shop, return_hazard
from training.simulator.signals import Details

# Names of the shipped catalog that a shop can send to a known person on any day.
COMMUNICATIONS: Final = (
    "complete_profile",
    "cross_sell",
    "help_before_leaving",
    "loyalty_points",
    "newsletter",
    "referral_invitation",
    "renewal_value_reminder",
    "review_request",
    "tips_to_use",
    "winback_offer",
)
NO_CONTACT: Final = "no_contact"
MARGIN_RATE: Final = 0.3  # of an order: the margin_rate of the shipped policy.toml
HORIZON_DAYS: Final = 28
PILOT_DAYS: Final = 168  # six rounds of 28 days, the last of them over 10 days before the end
PILOT_QUIET_DAYS: Final = 10
OFFER_DAYS: Final = 21  # how long a winback offer holds: as long as its effect lasts


@dataclass(frozen=True, slots=True)
class Effects:
    """What would follow from each communication today, arrays of shape (n_people, n_comms).

    Attributes
    ----------
    extra_order : probability of one more order within three weeks
    leaves : probability of turning away from the shop at once
    value : E[reward | communication] - E[reward | no_contact] over 28 days, in euros
    """

    extra_order: Floats
    leaves: Floats
    value: Floats


def true_effects(shop: Shop, strength: Floats | float = 1.0) -> Effects:
    """Effects of every communication on everybody, as things stand today.

    Parameters
    ----------
    strength : float, or ndarray of float64, shape (n_comms,)
        Factor on what each of them does, for good and for bad.
    """
    traits, lives = shop.traits, shop.lives
    fit, mood = 1.0 - shop.mismatch(), np.clip(lives.satisfaction, 0.0, 1.0)
    price = traits.price_sensitivity
    rich = np.where(traits.budget > 2600.0, 1.0, 0.15)
    gone = np.where(lives.left, 1.0, 0.0)
    extra = {
        "complete_profile": 0.06 * (1.0 - traits.skill),
        "cross_sell": 0.50 * fit * mood * rich,
        "help_before_leaving": 0.85 * (1.0 - mood) * fit * (1.0 - 0.6 * price),
        "loyalty_points": 0.45 * price * mood * traits.member,
        "newsletter": 0.03 + 0.12 * fit * mood,
        "referral_invitation": 0.05 * traits.warmth,
        "renewal_value_reminder": 0.30 * mood * fit,
        "review_request": 0.02 * traits.warmth,
        "tips_to_use": 0.45 * (1.0 - traits.skill) * fit,
        "winback_offer": 0.60 * price * (0.25 + 0.75 * mood),
    }
    extra_order = np.stack([extra[name] for name in COMMUNICATIONS], axis=1)
    # The more messages lately, the less the next one does; those who left hear little of it.
    deaf = np.exp(-0.15 * lives.pressure) * np.where(traits.buyer, 1.0, 0.25)
    winback = COMMUNICATIONS.index("winback_offer")
    extra_order *= (deaf * (1.0 - 0.75 * gone))[:, None]
    extra_order[:, winback] *= 1.0 + 1.5 * gone
    leaves = np.repeat((0.25 * traits.sleeping_dog)[:, None], len(COMMUNICATIONS), axis=1)
    # Whoever is reminded of a club that disappoints thinks of cancelling it.
    leaves[:, COMMUNICATIONS.index("renewal_value_reminder")] += 0.12 * (1.0 - mood)
    leaves *= (1.0 - gone)[:, None]
    extra_order *= strength
    leaves *= strength
    return Effects(extra_order, leaves, _value(shop, extra_order, leaves))


def _value(shop: Shop, extra_order: Floats, leaves: Floats) -> Floats:
    """Money that follows from the two probabilities, over 28 days.

    An order earns its margin less what it is discounted by habit. Who leaves takes the usual
    orders of the window along; who is offered a discount takes it on the usual orders of
    those weeks too.
    """
    traits = shop.traits
    budget: Floats = traits.budget / 100.0 * np.exp(0.25**2 / 2.0)  # mean of the lognormal basket
    habit = OWN_DISCOUNT * own_discount_chance(traits)
    order = budget * (MARGIN_RATE * (1.0 - habit) - habit)
    cut = (CAMPAIGN_DISCOUNT - habit) * (1.0 + MARGIN_RATE) * budget
    lost = leaves * (usual_orders(shop, HORIZON_DAYS) * order)[:, None]
    value: Floats = extra_order * order[:, None] - lost
    winback = COMMUNICATIONS.index("winback_offer")
    value[:, winback] -= cut * (usual_orders(shop, OFFER_DAYS) + extra_order[:, winback])
    return value


def usual_orders(shop: Shop, days: int) -> Floats:
    """Orders that each person will place by themselves in the next `days`, shape (n_people,).

    The next order is in their mind already; those after it follow at gamma gaps of mean g and
    shape k, about t / g - (1 - 1 / k) / 2 of them in t days.
    Source: the renewal function to its second term, Cox, Renewal Theory (1962), chapter 4.
    """
    lives = shop.lives
    after = shop.day + days - lives.next_order
    more = after / shop.usual_gap() - (1.0 - 1.0 / shop.traits.regularity) / 2.0
    comes = (after > 0) & ~lives.left & ~lives.ended
    returns = return_hazard(shop) * days  # those who left: one order, if they come back
    return np.where(comes, 1.0 + np.maximum(more, 0.0), returns)


@dataclass(frozen=True, slots=True)
class PilotRound:
    """Decisions of one day of the pilot, with what only the simulator knows.

    Attributes
    ----------
    who : ndarray of int64, shape (n_decisions,)
    at : ndarray of int64, shape (n_decisions,), microseconds
    chosen : ndarray of int64, shape (n_decisions,); index into COMMUNICATIONS, -1 no contact
    probability : ndarray of float64, shape (n_decisions,)
    eligible : ndarray of bool, shape (n_decisions, n_comms)
    value : ndarray of float64, shape (n_decisions, n_comms), euros
    """

    who: Int64Array
    at: Int64Array
    chosen: Int64Array
    probability: Floats
    eligible: Flags
    value: Floats


def pilot_eligible(shop: Shop) -> Flags:
    """Who may get what in the pilot, by facts that the shop can see; (n_people, n_comms)."""
    lives = shop.lives
    silent = shop.since_order()
    new = (shop.day - lives.first_order < 30) & (lives.orders > 0)
    bought = lives.orders > 0
    active = bought & ~new & (silent <= 42)
    quiet = bought & (silent > 21) & (silent <= 70)
    rules = {
        "complete_profile": ~bought | new,
        "cross_sell": active,
        "help_before_leaving": quiet,
        "loyalty_points": active & shop.traits.member,
        "newsletter": np.ones_like(bought),
        "referral_invitation": active,
        "renewal_value_reminder": (lives.club_ends - shop.day <= 30) & ~lives.club_leaving,
        "review_request": bought & (silent <= 14),
        "tips_to_use": new,
        "winback_offer": bought & (silent > 42),
    }
    return np.stack([rules[name] for name in COMMUNICATIONS], axis=1)


def run_pilot(shop: Shop, strength: Floats | float = 1.0) -> PilotRound | None:
    """Decide by lot for those whose turn is today, every 28 days; log the probability.

    No contact has twice the weight of each communication: with k eligible, its probability is
    2 / (k + 2) and that of each of them 1 / (k + 2). For `strength` see `true_effects`.
    """
    lives, rng = shop.lives, shop.rng
    to_end = shop.days - shop.day
    if not PILOT_QUIET_DAYS <= to_end < PILOT_QUIET_DAYS + PILOT_DAYS:
        return None
    people = np.arange(len(lives.known))
    turn = (people * 7919 + shop.day) % HORIZON_DAYS == 0  # 7919: a prime, so turns mix
    who = np.flatnonzero(turn & lives.known & lives.mail_consent & ~lives.ended & ~lives.objector)
    effects, eligible = true_effects(shop, strength), pilot_eligible(shop)[who]
    weights = np.concatenate([np.full((len(who), 1), 2.0), eligible.astype(np.float64)], axis=1)
    vector = weights / weights.sum(axis=1, keepdims=True)
    # The uniform number falls into one slot of the cumulated vector; slot 0 is no contact.
    slot = (np.cumsum(vector, axis=1) <= rng.random(len(who))[:, None]).sum(axis=1)
    slot = np.minimum(slot, vector.shape[1] - 1 - np.argmax(vector[:, ::-1] > 0, axis=1))
    at = shop.start + shop.day * DAY + 9 * HOUR + rng.integers(0, HOUR, len(who))
    probability = vector[np.arange(len(who)), slot]
    names = (NO_CONTACT, *COMMUNICATIONS)
    words = [names[one] for one in slot.tolist()]
    shop.book.write(
        "pilot",
        "Decision Made",
        who,
        at,
        Details(
            channel="email",
            communication=words,
            probability=probability,
            properties=[_vector_words(one) for one in vector.tolist()],
        ),
    )
    send(shop, who[slot > 0], at[slot > 0], slot[slot > 0] - 1, effects)
    return PilotRound(who, at, slot - 1, probability, eligible, effects.value[who])


def _vector_words(vector: list[float]) -> str:
    """How likely each communication was, as a decision logs it; those not allowed left out."""
    names = (NO_CONTACT, *COMMUNICATIONS)
    possible = {name: one for name, one in zip(names, vector, strict=True) if one > 0}
    return json.dumps({"probabilities": possible}, separators=(",", ":"))


def send(shop: Shop, who: Int64Array, at: Int64Array, chosen: Int64Array, effects: Effects) -> None:
    """Send what was chosen, and let it do what it truly does.

    Parameters
    ----------
    who, at, chosen : ndarray of int64, shape (n,)
        Person, microseconds, and index into `COMMUNICATIONS`.
    """
    lives, traits, rng = shop.lives, shop.traits, shop.rng
    words = [COMMUNICATIONS[one] for one in chosen.tolist()]
    shop.book.write(
        "pilot",
        "Communication Sent",
        who,
        at + MINUTE,
        Details(channel="email", communication=words),
    )
    lives.pressure[who] += 1.0
    orders = rng.random(len(who)) < effects.extra_order[who, chosen]
    delay = np.minimum(rng.exponential(5.0, len(who)), 20.0)
    lives.extra_order[who[orders]] = shop.day + 1 + delay[orders]
    leaves = rng.random(len(who)) < effects.leaves[who, chosen]
    lives.left[who[leaves]] = True
    offered = chosen == COMMUNICATIONS.index("winback_offer")
    lives.discount_until[who[offered]] = shop.day + OFFER_DAYS
    invited = chosen == COMMUNICATIONS.index("referral_invitation")
    mood = np.clip(lives.satisfaction[who], 0.0, 1.0)
    refers = invited & (rng.random(len(who)) < 0.3 * traits.warmth[who] * mood)
    shop.book.write("feedback", "Referral Made", who[refers], shop.later(at[refers], delay[refers]))
    asked = chosen == COMMUNICATIONS.index("review_request")
    writes = asked & (rng.random(len(who)) < 0.05 + 0.3 * traits.warmth[who])
    score = np.clip(np.round(1.5 + 4.0 * mood), 1, 5).astype(np.int64)
    shop.book.write(
        "feedback",
        "Review Written",
        who[writes],
        shop.later(at[writes], delay[writes]),
        Details(score=score[writes]),
    )
