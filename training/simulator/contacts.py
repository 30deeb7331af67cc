"""What passes between the demo company and its people: sign-ups, mails, surveys, farewells."""

from typing import Final

import numpy as np
from scipy.special import ndtr

from features.signals import DAY, HOUR, MINUTE, Int64Array
from training.simulator.orders import browse, open_tickets
from training.simulator.people import (
    Asked,
    Flags,
    Floats,
    Shop,
    leaving_hazard,
    return_hazard,
)
from training.simulator.signals import Details, properties

NEWSLETTER_DAYS: Final = 14
SURVEY_DAYS: Final = 120
SPREAD: Final = 1.1  # standard deviation of an answer around the feeling behind it
COUNTRIES: Final = ("DE", "AT", "NL", "FR", "BE")
BREWERS: Final = ("filter", "espresso machine", "moka pot", "french press", "aeropress")


def welcome(shop: Shop) -> None:
    """Sign up those who arrive today, take down their consents, greet those who may be mailed."""
    traits, lives, rng = shop.traits, shop.lives, shop.rng
    arrives = ~traits.visitor & (np.floor(traits.arrives) == shop.day)
    who = np.flatnonzero(arrives)
    n = len(who)
    at = shop.moments(n)
    lives.known[who] = True
    browse(shop, who, at - 20 * MINUTE)
    shop.book.write("consent", "Signed Up", who, at)
    country = rng.choice(len(COUNTRIES), n, p=(0.62, 0.12, 0.12, 0.08, 0.06)).tolist()
    brewer = rng.integers(0, len(BREWERS), n).tolist()
    words = [
        f'{{"traits":{{"country":"{COUNTRIES[c]}","brews_with":"{BREWERS[b]}"}}}}'
        for c, b in zip(country, brewer, strict=True)
    ]
    shop.book.write("consent", "Trait Set", who, at + MINUTE, Details(properties=words))
    opted = rng.random(n) < 0.78
    lives.mail_consent[who] = opted
    _write_consent(shop, who[opted], at[opted] + 2 * MINUTE, "email")
    texts = rng.random(n) < 0.15
    _write_consent(shop, who[texts], at[texts] + 3 * MINUTE, "sms")
    taps = traits.app_user[who] & (rng.random(n) < 0.7)
    _write_consent(shop, who[taps], at[taps] + 4 * MINUTE, "push")
    shop.book.write(
        "app", "Application Installed", who[traits.app_user[who]], at[traits.app_user[who]] + HOUR
    )
    shop.book.write(
        "email",
        "Communication Sent",
        who[opted],
        at[opted] + 10 * MINUTE,
        Details(channel="email", communication="welcome"),
    )
    # A third come in order to buy today; the others look around first.
    wait = np.where(rng.random(n) < 0.35, 0.0, rng.exponential(9.0, n))
    lives.next_order[who] = np.where(traits.buyer[who], shop.day + wait, np.nan)


def _write_consent(shop: Shop, who: Int64Array, at: Int64Array, channel: str) -> None:
    words = properties(channel=channel, purpose="marketing", evidence="sign-up form, double opt-in")
    shop.book.write("consent", "Consent Given", who, at, Details(channel=channel, properties=words))


def send_mails(shop: Shop) -> None:
    """Send newsletters in turn, and campaigns to the keen, as the shop always did."""
    traits, lives = shop.traits, shop.lives
    lives.pressure *= 0.5 ** (1.0 / 10.0)  # a message counts half after ten days
    reachable = lives.known & lives.mail_consent & ~lives.ended & ~lives.objector
    turn = (np.arange(len(traits.arrives)) + shop.day) % NEWSLETTER_DAYS
    _mail(shop, np.flatnonzero(reachable & (turn == 0)), "newsletter")
    # Campaigns go to those who bought lately: the shop picked its best customers, which is why
    # these mails look more useful than they are.
    keen = reachable & (turn == 7) & (shop.since_order() < 30)
    _mail(shop, shop.chosen(np.where(keen, 0.2 + 0.3 * lives.satisfaction, 0.0)), "campaign")


def _mail(shop: Shop, who: Int64Array, category: str) -> None:
    """Send one mail to each of `who`; some open it, click, unsubscribe, or turn away."""
    traits, lives, rng = shop.traits, shop.lives, shop.rng
    n = len(who)
    sent = shop.start + shop.day * DAY + 7 * HOUR + rng.integers(0, 30 * MINUTE, n)
    shop.book.write("email", "Email Sent", who, sent, Details(category=category, channel="email"))
    lives.pressure[who] += 1.0
    interest = traits.mail_reader[who] * (0.35 + 0.65 * np.clip(lives.satisfaction[who], 0, 1))
    opens = rng.random(n) < (0.06 + 0.7 * interest) * np.where(lives.left[who], 0.4, 1.0)
    opened = sent[opens] + (rng.exponential(0.25, opens.sum()) * DAY).astype(np.int64) + MINUTE
    reader = who[opens]
    shop.book.write("email", "Email Opened", reader, opened, Details(category=category))
    clicks = rng.random(len(reader)) < 0.05 + 0.2 * interest[opens]
    shop.book.write(
        "email",
        "Email Link Clicked",
        reader[clicks],
        opened[clicks] + MINUTE,
        Details(category=category),
    )
    browse(shop, reader[clicks], opened[clicks] + 2 * MINUTE)
    tired = 0.001 + 0.0012 * lives.pressure[who] * (1.0 - lives.satisfaction[who])
    stops = rng.random(n) < tired
    lives.mail_consent[who[stops]] = False
    shop.book.write("email", "Unsubscribed", who[stops], sent[stops] + 4 * HOUR)
    turns_away = traits.sleeping_dog[who] & (rng.random(n) < 0.012)
    lives.left[who[turns_away]] = True


def use_app(shop: Shop) -> None:
    """Open the app, and time a brew with it; a phone without network tells us days later."""
    traits, lives, rng = shop.traits, shop.lives, shop.rng
    keen = traits.app_user & lives.known & ~lives.ended
    rate = np.where(lives.left, 0.004, 0.02 + 0.1 * lives.satisfaction * (0.4 + traits.skill))
    who = shop.chosen(np.where(keen, rate, 0.0))
    n = len(who)
    at = shop.moments(n)
    offline = np.where(rng.random(n) < 0.05, rng.exponential(1.0, n) * DAY, 0.0)
    received = at + 2_000_000 + offline.astype(np.int64)
    shop.book.write_late("app", "Application Opened", who, (at, received))
    brews = rng.random(n) < 0.5
    minutes = rng.integers(2, 16, brews.sum()).tolist()
    shop.book.write_late(
        "app",
        "Feature Used",
        who[brews],
        (at[brews] + MINUTE, received[brews] + MINUTE),
        Details(category="brew timer", properties=[f'{{"minutes":{one}}}' for one in minutes]),
    )


def hear_people(shop: Shop) -> None:
    """Tickets out of the blue, surveys, reviews, referrals, things shared."""
    traits, lives = shop.traits, shop.lives
    customers = shop.customers() & ~lives.left
    unhappy = 1.0 - np.clip(lives.satisfaction, 0.0, 1.0)
    who = shop.chosen(np.where(customers, 0.0006 + 0.002 * unhappy**2, 0.0))
    open_tickets(shop, who, shop.moments(len(who)))
    _ask_to_recommend(shop)
    moved = np.abs(2.0 * lives.satisfaction - 1.0)
    fresh = customers & (shop.since_order() >= 3) & (shop.since_order() <= 12)
    writes = shop.chosen(np.where(fresh, 0.004 * moved * (0.5 + traits.warmth), 0.0))
    stars = np.clip(np.round(1.4 + 4.0 * lives.satisfaction[writes]), 1, 5).astype(np.int64)
    shop.book.write(
        "feedback", "Review Written", writes, shop.moments(len(writes)), Details(score=stars)
    )
    glad = np.where(customers, traits.warmth * np.clip(lives.satisfaction, 0, 1), 0.0)
    tells = shop.chosen(0.0012 * glad)
    shop.book.write("feedback", "Referral Made", tells, shop.moments(len(tells)))
    shares = shop.chosen(0.0015 * glad)
    shop.book.write("feedback", "Content Shared", shares, shop.moments(len(shares)))


def _ask_to_recommend(shop: Shop) -> None:
    """Send the recommendation survey in turn; who answers is not chance.

    The survey comes by mail: readers of mails answer, hardly anybody who has turned away does,
    and the pleased and the angry answer a little more than the others. Signals show the first
    two, not the last: weights mend most of what is wrong with the answers' mean, not all.
    """
    traits, lives, rng = shop.traits, shop.lives, shop.rng
    asked = np.flatnonzero((lives.next_survey <= shop.day) & shop.customers() & ~lives.objector)
    lives.next_survey[asked] = shop.day + SURVEY_DAYS + rng.integers(0, 30, len(asked))
    at, words = shop.moments(len(asked)), properties(kind="nps")
    shop.book.write("feedback", "Survey Sent", asked, at, Details(properties=words))
    mood = lives.satisfaction[asked]
    moved = np.abs(2.0 * mood - 1.0)
    chance = (0.15 + 0.6 * traits.mail_reader[asked]) * (0.9 + 0.2 * moved)
    chance *= np.where(lives.left[asked], 0.1, 1.0)
    feeling = 2.6 + 6.0 * mood + 2.4 * traits.warmth[asked] * mood
    promotes, detracts = ndtr((feeling - 8.5) / SPREAD), ndtr((6.5 - feeling) / SPREAD)
    shop.asked.append(Asked(asked, at, chance, promotes, detracts))
    answers = rng.random(len(asked)) < chance
    who = asked[answers]
    felt = feeling[answers] + rng.normal(0.0, SPREAD, len(who))
    score = np.clip(np.round(felt), 0, 10).astype(np.int64)
    answered = shop.later(at[answers], rng.exponential(0.8, len(who)))
    # Answers come over from the survey tool once a night.
    night = shop.start + ((answered - shop.start) // DAY + 1) * DAY + HOUR
    shop.book.write_late(
        "feedback",
        "Survey Answered",
        who,
        (answered, night),
        Details(score=score, properties=words),
    )


def feel(shop: Shop) -> None:
    """Let moods drift, and let people leave or come back of their own accord."""
    traits, lives, rng = shop.traits, shop.lives, shop.rng
    lives.satisfaction += 0.012 * (traits.satisfaction - lives.satisfaction)
    lives.satisfaction += rng.normal(0.0, 0.012, len(lives.satisfaction))
    np.clip(lives.satisfaction, 0.0, 1.0, out=lives.satisfaction)
    lives.left[shop.chosen(leaving_hazard(shop))] = True
    back = shop.chosen(return_hazard(shop))
    lives.left[back] = False
    lives.next_order[back] = shop.day + 1


def part_ways(shop: Shop) -> None:
    """Withdrawn consents, objections, and the few with whom the shop ends it."""
    lives = shop.lives
    known = lives.known & ~lives.ended
    withdraws = shop.chosen(np.where(known & lives.mail_consent, 0.00008, 0.0))
    lives.mail_consent[withdraws] = False
    words = properties(channel="email", purpose="marketing", evidence="preference page")
    shop.book.write(
        "consent",
        "Consent Withdrawn",
        withdraws,
        shop.moments(len(withdraws)),
        Details(channel="email", properties=words),
    )
    objects = shop.chosen(_few(known & ~lives.objector, 0.00003))
    lives.objector[objects] = True
    lives.mail_consent[objects] = False
    shop.book.write("consent", "Objection Raised", objects, shop.moments(len(objects)))
    ends = shop.chosen(_few(known & (lives.orders > 0), 0.00001))
    lives.ended[ends] = True
    shop.book.write("support", "Relationship Ended", ends, shop.moments(len(ends)))


def _few(who: Flags, chance: float) -> Floats:
    return np.where(who, chance, 0.0)
