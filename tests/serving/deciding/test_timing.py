import datetime as dt
from dataclasses import replace

import pytest

from features.signals import DAY, HOUR
from serving.catalog import Communication
from serving.engine import Engine
from serving.policy import Policy
from serving.timing import quiet_until, timing_of_message, timing_of_silence


def at(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp()) * 1_000_000


@pytest.fixture(scope="module")
def newsletter(rule_engine: Engine) -> Communication:
    return rule_engine.catalog.communications["newsletter"]


def in_zone(policy: Policy, zone: str, start: str = "21:00", end: str = "08:00") -> Policy:
    hours = replace(
        policy.quiet_hours[0],
        time_zone=zone,
        start=dt.time.fromisoformat(start),
        end=dt.time.fromisoformat(end),
    )
    return replace(policy, quiet_hours=(hours,))


@pytest.mark.parametrize(
    ("zone", "now", "then"),
    [
        ("UTC", "2026-11-01T20:59:59+00:00", "2026-11-01T20:59:59+00:00"),
        ("UTC", "2026-11-01T21:00:00+00:00", "2026-11-02T08:00:00+00:00"),
        ("UTC", "2026-11-01T00:00:00+00:00", "2026-11-01T08:00:00+00:00"),
        ("UTC", "2026-11-01T07:59:59+00:00", "2026-11-01T08:00:00+00:00"),
        ("UTC", "2026-11-01T08:00:00+00:00", "2026-11-01T08:00:00+00:00"),
        ("Asia/Kolkata", "2026-11-01T20:00:00+05:30", "2026-11-01T20:00:00+05:30"),
        ("Asia/Kolkata", "2026-11-01T21:30:00+05:30", "2026-11-02T08:00:00+05:30"),
        # The clocks go forward at 02:00 on 29 March and back at 03:00 on 25 October.
        ("Europe/Berlin", "2026-03-28T22:00:00+01:00", "2026-03-29T08:00:00+02:00"),
        ("Europe/Berlin", "2026-10-24T22:00:00+02:00", "2026-10-25T08:00:00+01:00"),
    ],
)
def test_quiet_hours_move_a_message_to_their_end(
    newsletter: Communication, shop_policy: Policy, zone: str, now: str, then: str
) -> None:
    assert quiet_until(newsletter, in_zone(shop_policy, zone), at(now)) == at(then)


@pytest.mark.parametrize(
    ("own", "then"),
    [
        ("", "2026-11-02T08:00:00+01:00"),  # not known: the company's
        ("Mars/Olympus", "2026-11-02T08:00:00+01:00"),
        ("../../etc/passwd", "2026-11-02T08:00:00+01:00"),
        ("America/New_York", "2026-11-01T16:30:00-05:00"),  # afternoon there: at once
        ("Asia/Tokyo", "2026-11-02T08:00:00+09:00"),
        ("Australia/Sydney", "2026-11-02T08:30:00+11:00"),  # past eight there already
        ("Asia/Kolkata", "2026-11-02T08:00:00+05:30"),
    ],
)
def test_the_customers_own_clock_decides(
    newsletter: Communication, shop_policy: Policy, own: str, then: str
) -> None:
    berlin = in_zone(shop_policy, "Europe/Berlin")
    now = at("2026-11-01T22:30:00+01:00")
    assert quiet_until(newsletter, berlin, now, own) == at(then)
    assert timing_of_message(newsletter, berlin, now, own).not_before == at(then)


def test_each_channel_has_its_own_night(newsletter: Communication, shop_policy: Policy) -> None:
    supper = at("2026-11-01T19:30:00+00:00")
    call = replace(newsletter, channel="call", message_class="service")
    assert quiet_until(newsletter, shop_policy, supper) == supper
    assert quiet_until(call, shop_policy, supper) == at("2026-11-02T09:00:00+00:00")


def test_quiet_hours_within_a_day(newsletter: Communication, shop_policy: Policy) -> None:
    siesta = in_zone(shop_policy, "UTC", "13:00", "15:30")
    during, before = at("2026-11-01T14:00:00+00:00"), at("2026-11-01T12:59:00+00:00")
    assert quiet_until(newsletter, siesta, during) == at("2026-11-01T15:30:00+00:00")
    assert quiet_until(newsletter, siesta, before) == before


def test_same_start_and_end_is_never_quiet(
    newsletter: Communication, shop_policy: Policy, noon: int
) -> None:
    never = in_zone(shop_policy, "UTC", "12:00", "12:00")
    assert quiet_until(newsletter, never, noon) == noon
    assert quiet_until(newsletter, never, noon - 1) == noon - 1


def test_quiet_hours_end_once_when_the_clock_strikes_twice(
    newsletter: Communication, shop_policy: Policy
) -> None:
    ends_at_half_past_two = in_zone(shop_policy, "Europe/Berlin", "21:00", "02:30")
    second_time = at("2026-10-25T02:10:00+01:00")
    assert quiet_until(newsletter, ends_at_half_past_two, second_time) >= second_time


def test_some_messages_do_not_wait_for_the_morning(
    newsletter: Communication, shop_policy: Policy
) -> None:
    night = at("2026-11-01T23:00:00+00:00")
    for entry in (
        replace(newsletter, channel="inapp"),
        replace(newsletter, message_class="transactional"),
        replace(newsletter, message_class="crisis"),
    ):
        assert quiet_until(entry, shop_policy, night) == night
    service = replace(newsletter, message_class="service")
    assert quiet_until(service, shop_policy, night) > night


def test_answer_outlasts_the_night(newsletter: Communication, shop_policy: Policy) -> None:
    night = at("2026-11-01T23:00:00+00:00")
    timing = timing_of_message(newsletter, shop_policy, night)
    assert timing.not_before == at("2026-11-02T08:00:00+00:00")
    assert timing.valid_until == at("2026-11-03T08:00:00+00:00")
    assert timing.reconsider_at == at("2026-11-09T08:00:00+00:00")


def test_silence_is_reconsidered_when_a_message_is_free(shop_policy: Policy, noon: int) -> None:
    held_back = timing_of_silence([noon + 5 * DAY, noon + 3 * DAY], shop_policy, noon)
    assert held_back.reconsider_at == noon + 3 * DAY
    assert (held_back.not_before, held_back.valid_until) == (noon, noon + DAY)
    assert timing_of_silence([], shop_policy, noon).reconsider_at == noon + 7 * DAY
    soon = timing_of_silence([noon + HOUR], shop_policy, noon)
    assert soon.reconsider_at == soon.valid_until  # never before the answer has run out
