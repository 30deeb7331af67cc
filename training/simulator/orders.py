"""What people do at the demo company's shop: visits, carts, orders, the club."""

from typing import Final

import numpy as np

from features.signals import DAY, MINUTE, Int64Array
from training.simulator.people import Floats, Shop, Traits
from training.simulator.signals import Details, decimal, properties

CATEGORIES: Final = ("filter", "espresso", "decaf", "equipment", "gifts")
CLUB_DAYS: Final = 91.0  # a quarter, paid in advance
CLUB_FEE: Final = 1900  # cents a quarter
POINTS_FOR_COFFEE: Final = 300
CAMPAIGN_DISCOUNT: Final = 0.15  # what a winback offer takes off the orders of three weeks
OWN_DISCOUNT: Final = 0.10  # what a customer who found a code takes off an order


def place_orders(shop: Shop) -> None:
    """Let those order whose next order, or an extra one, falls on today."""
    lives = shop.lives
    open_to_all = lives.known & ~lives.ended
    due = open_to_all & ~lives.left & (lives.next_order < shop.day + 1)
    extra = open_to_all & (lives.extra_order < shop.day + 1) & ~due
    lives.extra_order[extra] = np.nan
    who = np.flatnonzero(due | extra)
    at = shop.moments(len(who))
    browse(shop, who, at - 14 * MINUTE)
    shop.book.write(
        "web", "Product Added", who, at - 4 * MINUTE, Details(category=_tastes(shop, who))
    )
    shop.book.write("web", "Checkout Started", who, at - 2 * MINUTE)
    _write_orders(shop, who, at)
    first = np.isnan(lives.first_order[who])
    lives.first_order[who[first]] = shop.day
    lives.next_survey[who[first]] = shop.day + 30 + shop.rng.integers(0, 20, first.sum())
    lives.last_order[who] = shop.day
    lives.orders[who] += 1
    lives.next_order[due] = shop.day + gaps(shop, np.flatnonzero(due))
    # Half of those who had left and order once more are back, but take their time: the next
    # order is at least four weeks away.
    back = np.flatnonzero(extra & lives.left & (shop.rng.random(len(extra)) < 0.5))
    lives.left[back] = False
    lives.next_order[back] = shop.day + 28 + gaps(shop, back)


def own_discount_chance(traits: Traits) -> Floats:
    """Chance that an order carries a code: those who watch the price find one."""
    chance: Floats = 0.06 + 0.22 * traits.price_sensitivity
    return chance


def gaps(shop: Shop, who: Int64Array) -> Floats:
    """Days to the next order of `who`: gamma, with each person's own mean and shape."""
    shape = shop.traits.regularity[who]
    days: Floats = np.maximum(shop.rng.gamma(shape, shop.usual_gap()[who] / shape), 1.0)
    return days


def _tastes(shop: Shop, who: Int64Array) -> list[str]:
    """What each of `who` buys: the same taste that drifts in secret, seen through noise."""
    angle = shop.traits.taste[who] + shop.traits.taste_speed[who] * shop.day
    seen = np.abs(angle + shop.rng.normal(0.0, 0.35, len(who)))
    beans = np.digitize(seen, (0.6, 1.4))
    other = shop.rng.random(len(who))
    kind = np.where(other < 0.07, 3, np.where(other < 0.11, 4, beans))
    return [CATEGORIES[one] for one in kind.tolist()]


def _write_orders(shop: Shop, who: Int64Array, at: Int64Array) -> None:
    """Write the orders and all that follows from them by itself."""
    traits, lives, rng = shop.traits, shop.lives, shop.rng
    gross = traits.budget[who] * rng.lognormal(0.0, 0.25, len(who))
    offered = lives.discount_until[who] > shop.day
    own = rng.random(len(who)) < own_discount_chance(traits)[who]
    share = np.where(offered, CAMPAIGN_DISCOUNT, np.where(own, OWN_DISCOUNT, 0.0))
    discount = np.round(gross * share).astype(np.int64)
    amount = np.round(gross).astype(np.int64) - discount
    words = [
        f'{{"order_id":"O-{shop.day:04d}-{one}","discount":{decimal(cut)}}}'
        for one, cut in zip(who.tolist(), discount.tolist(), strict=True)
    ]
    shop.book.write(
        "orders",
        "Order Completed",
        who,
        at,
        Details(amount=amount, category=_tastes(shop, who), properties=words),
    )
    points = np.where(traits.member[who], amount // 100, 0)
    _write_points(shop, who, at, points)
    _deliver(shop, who, at, amount)


def _write_points(shop: Shop, who: Int64Array, at: Int64Array, points: Int64Array) -> None:
    """Members earn a point a euro, and turn 300 into coffee now and then."""
    lives = shop.lives
    earns = points > 0
    words = [f'{{"points":{one}}}' for one in points[earns].tolist()]
    shop.book.write(
        "loyalty", "Points Earned", who[earns], at[earns] + 5 * MINUTE, Details(properties=words)
    )
    lives.points[who] += points
    spends = (lives.points[who] >= POINTS_FOR_COFFEE) & (shop.rng.random(len(who)) < 0.4)
    lives.points[who[spends]] -= POINTS_FOR_COFFEE
    shop.book.write(
        "loyalty",
        "Points Redeemed",
        who[spends],
        at[spends] + 6 * MINUTE,
        Details(properties=f'{{"points":{POINTS_FOR_COFFEE}}}'),
    )


def _deliver(shop: Shop, who: Int64Array, at: Int64Array, amount: Int64Array) -> None:
    """Ship and deliver; one order in sixteen goes wrong, and part of these is paid back."""
    rng, n = shop.rng, len(who)
    wrong = rng.random(n) < 0.06
    shipped = shop.later(at, rng.uniform(0.3, 1.4, n))
    delivered = shop.later(shipped, rng.uniform(0.8, 2.6, n) + np.where(wrong, 4.0, 0.0))
    # The carrier reports at night: delivery is known some hours after it happened.
    known = delivered + (rng.uniform(0.05, 0.4, n) * DAY).astype(np.int64)
    shop.book.write("orders", "Order Shipped", who, shipped)
    shop.book.write_late("orders", "Order Delivered", who, (delivered, known))
    shop.lives.satisfaction[who] += np.where(wrong, -0.16, 0.012)
    back = wrong & (rng.random(n) < 0.4)
    refunded = shop.later(delivered, rng.uniform(1.0, 6.0, n))
    share = np.where(rng.random(n) < 0.5, 1.0, 0.5)
    cents = np.round(amount * share).astype(np.int64)
    shop.book.write(
        "orders", "Order Refunded", who[back], refunded[back], Details(amount=cents[back])
    )
    complains = wrong & (rng.random(n) < 0.45)
    open_tickets(shop, who[complains], delivered[complains] + 3 * 60 * MINUTE)


def open_tickets(shop: Shop, who: Int64Array, at: Int64Array) -> None:
    """Open tickets, answer them, solve them, and ask how it went; good help is remembered."""
    rng, n, lives = shop.rng, len(who), shop.lives
    topic = [("delivery", "quality", "billing")[one] for one in rng.integers(0, 3, n).tolist()]
    shop.book.write("support", "Ticket Opened", who, at, Details(category=topic))
    replied = shop.later(at, rng.exponential(0.35, n) + 0.02)
    patience = rng.exponential(1.7, n) + 0.1
    resolved = shop.later(replied, patience)
    shop.book.write("support", "Ticket Replied", who, replied)
    shop.book.write("support", "Ticket Resolved", who, resolved)
    lives.satisfaction[who] += np.where(patience > 3.0, -0.12, 0.05)
    asked = rng.random(n) < 0.6
    _ask_after_ticket(shop, who[asked], resolved[asked] + 60 * MINUTE, patience[asked])


def _ask_after_ticket(shop: Shop, who: Int64Array, at: Int64Array, patience: Floats) -> None:
    """Ask for satisfaction or ease (1-5, higher is better); the moved answer more often."""
    rng, n = shop.rng, len(who)
    mood = shop.lives.satisfaction[who] - 0.05 * patience
    score = np.clip(np.round(1.0 + 4.6 * mood + rng.normal(0.0, 0.7, n)), 1, 5).astype(np.int64)
    kind = np.where(rng.random(n) < 0.6, "csat", "ces")
    answers = rng.random(n) < 0.15 + 0.5 * np.abs(2.0 * mood - 1.0)
    answered = shop.later(at, rng.exponential(0.6, n))
    for one in ("csat", "ces"):
        sent, got = kind == one, (kind == one) & answers
        words = properties(kind=one)
        shop.book.write("feedback", "Survey Sent", who[sent], at[sent], Details(properties=words))
        shop.book.write(
            "feedback",
            "Survey Answered",
            who[got],
            answered[got],
            Details(score=score[got], properties=words),
        )


def browse(shop: Shop, who: Int64Array, at: Int64Array) -> None:
    """One visit of each of `who`: some pages, a product or two."""
    rng = shop.rng
    pages = np.repeat(np.arange(len(who)), rng.integers(1, 3, len(who)))
    shop.book.write("web", "Page Viewed", who[pages], at[pages] + _steps(rng, len(pages)))
    looks = np.repeat(np.arange(len(who)), rng.binomial(2, 0.4, len(who)))
    shop.book.write(
        "web",
        "Product Viewed",
        who[looks],
        at[looks] + 3 * MINUTE + _steps(rng, len(looks)),
        Details(category=_tastes(shop, who[looks])),
    )


def _steps(rng: np.random.Generator, n: int) -> Int64Array:
    """Some seconds up to three minutes, to the microsecond."""
    steps: Int64Array = rng.integers(0, 3 * MINUTE, n)
    return steps


def visit_chance(shop: Shop) -> Floats:
    """Chance of a visit without an order today, shape (n_people,).

    Visitors surely come on their first day, look in for some days more, and are forgotten after
    five months. Those who signed up look around before they buy; those who left hardly come.
    """
    traits, lives = shop.traits, shop.lives
    away = shop.day - np.floor(traits.arrives)
    fresh = np.exp(-np.maximum(away, 0.0) / 4.0)
    visitor = np.where((away >= 0) & (away < 150), np.maximum(0.6 * fresh + 0.01, away == 0), 0.0)
    customer = np.where(lives.left, 0.007, 0.015 + 0.05 * lives.satisfaction)
    known = np.where(lives.orders > 0, customer, 0.03 + 0.2 * fresh)
    return np.where(traits.visitor, visitor, np.where(lives.known & ~lives.ended, known, 0.0))


def visit(shop: Shop) -> None:
    """Visits that end without an order, and the carts left behind in some of them."""
    traits, rng = shop.traits, shop.rng
    who = shop.chosen(visit_chance(shop))
    at = shop.moments(len(who))
    browse(shop, who, at)
    searches = rng.random(len(who)) < 0.18
    shop.book.write("web", "Products Searched", who[searches], at[searches] + 2 * MINUTE)
    leaves_cart = rng.random(len(who)) < np.where(traits.visitor[who], 0.05, 0.14)
    basket, when = who[leaves_cart], at[leaves_cart] + 8 * MINUTE
    shop.book.write("web", "Product Added", basket, when, Details(category=_tastes(shop, basket)))
    goes_on = rng.random(len(basket)) < 0.5
    shop.book.write("web", "Checkout Started", basket[goes_on], when[goes_on] + 2 * MINUTE)
    fails = rng.random(len(basket)) < 0.06
    shop.book.write("web", "Payment Failed", basket[fails], when[fails] + 3 * MINUTE)
    _remind_of_carts(shop, basket, when)


def _remind_of_carts(shop: Shop, who: Int64Array, at: Int64Array) -> None:
    """Remind half of those who left a cart, a day later, as the shop always did."""
    lives = shop.lives
    reminded = lives.mail_consent[who] & (shop.rng.random(len(who)) < 0.5)
    shop.book.write(
        "email",
        "Communication Sent",
        who[reminded],
        at[reminded] + DAY,
        Details(channel="email", communication="cart_reminder"),
    )
    lives.pressure[who[reminded]] += 1.0


def run_club(shop: Shop) -> None:
    """Let customers join the club, and members renew or leave at the end of a quarter."""
    traits, lives, rng = shop.traits, shop.lives, shop.rng
    just_bought = (lives.last_order == shop.day) & (lives.orders >= 2) & np.isnan(lives.club_ends)
    joins = shop.chosen(np.where(just_bought, 0.025 * (1.4 - traits.price_sensitivity), 0.0))
    at = shop.moments(len(joins)) + 30 * MINUTE
    _write_club(shop, "Subscription Started", joins, at)

    # Members make up their minds in the last fortnight; the cancelled stay until the end.
    near = lives.club_ends - shop.day
    wants_out = 0.55 * (1.0 - lives.satisfaction) + np.where(lives.left, 0.35, 0.0)
    deciding = (near <= 14) & (near > 0) & ~lives.club_leaving
    goes = shop.chosen(np.where(deciding, wants_out / 14.0, 0.0))
    lives.club_leaving[goes] = True
    ends = [_day_text(shop, one) for one in lives.club_ends[goes].tolist()]
    shop.book.write(
        "loyalty",
        "Subscription Cancelled",
        goes,
        shop.moments(len(goes)),
        Details(properties=[f'{{"ends_at":"{one}"}}' for one in ends]),
    )
    over = lives.club_ends <= shop.day
    out = over & (lives.club_leaving | lives.ended)
    lives.club_ends[out] = np.nan
    lives.club_leaving[out] = False
    stays = np.flatnonzero(over & ~out)
    renewed_at = shop.start + shop.day * DAY + rng.integers(0, 6 * 60, len(stays)) * MINUTE
    _write_club(shop, "Subscription Renewed", stays, renewed_at)


def _write_club(shop: Shop, event: str, who: Int64Array, at: Int64Array) -> None:
    ends = shop.day + CLUB_DAYS
    shop.lives.club_ends[who] = ends
    shop.book.write(
        "loyalty",
        event,
        who,
        at,
        Details(
            amount=np.full(len(who), CLUB_FEE),
            properties=properties(ends_at=_day_text(shop, ends)),
        ),
    )


def _day_text(shop: Shop, day: float) -> str:
    """Midnight at the start of a day, as ISO 8601 text."""
    moment = np.datetime64(shop.start + int(day) * DAY, "us")
    return f"{np.datetime_as_string(moment, unit='s')}Z"
