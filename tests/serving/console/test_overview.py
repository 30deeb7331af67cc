"""The six people, and the totals, from hand-made answers."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest

from serving.console.looking import Looking, Said, draw_of
from serving.console.overview import (
    KINDS,
    Look,
    Lookout,
    Overview,
    Progress,
    Shown,
    sample,
    six_people,
    still_fits,
    total,
)
from serving.exploration import choose

REQUIRES = {"referral_invitation": ("advocate",), "cart_reminder": ("cart_open",)}
RESTS_ON = {"help_before_leaving": ("churn_risk", "usual_margin")}
CLASSES = {"no_contact": "none", "ticket_apology": "service"}


@dataclass
class Fake:
    """What the six need to know of the catalog and of carts."""

    hours: dict[str, float]

    def requires(self, name: str) -> tuple[str, ...]:
        return REQUIRES.get(name, ())

    def rests_on(self, name: str) -> tuple[str, ...]:
        return RESTS_ON.get(name, ())

    def message_class(self, name: str) -> str:
        return CLASSES.get(name, "marketing")


def said(customer_id: str, communication: str, *flags: str, **more: Any) -> Said:
    churn, again = more.pop("churn", 0.1), more.pop("again", 0.5)
    scores = {
        "churn_risk": {"value": churn, "base_rate": 0.2},
        "repurchase_likelihood": {"value": again, "base_rate": 0.6},
        "expected_margin": {"value": more.pop("margin", 5.0), "base_rate": 5.0},
    }
    found: dict[str, Any] = {
        "customer_id": customer_id,
        "communication": communication,
        "flags": list(flags),
        "scores": scores,
        "arm": "policy",
        "fallback": False,
        "expected_net": 1.0,
        "alternatives": [],
        "refusals": [],
        "stage": "active",
    }
    return cast(Said, found | more)


EVERYBODY = [
    said("promoter", "referral_invitation", "advocate"),
    said("better promoter", "referral_invitation", "advocate", expected_net=2.0),
    said("by lot", "referral_invitation", "advocate", expected_net=9.0, arm="uniform"),
    said("risk", "help_before_leaving", churn=0.7),
    said("calm", "help_before_leaving", churn=0.2),
    said("capped", "no_contact", churn=0.05, again=0.95, refusals=[{"rule": "cap"}]),
    said("by worth", "no_contact", churn=0.05, again=0.9, alternatives=[{"expected_net": -1.0}]),
    said("no consent", "no_contact", churn=0.05, again=0.99, refusals=[{"rule": "consent"}]),
    said("complaint", "no_contact", "complaint_open", churn=0.05, again=0.99),
    said("detractor", "ticket_apology", "detractor"),
    said("old cart", "cart_reminder", "cart_open"),
    said("fresh cart", "cart_reminder", "cart_open"),
    said("fallback", "no_contact", "complaint_open", fallback=True, margin=99.0),
]


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Looking:
    fake = Fake({"old cart": 100.0, "fresh cart": 2.2})
    monkeypatch.setattr(
        "serving.console.overview.cart_hours", lambda name, looking: looking.hours[name]
    )
    return cast(Looking, fake)


def test_each_kind_is_shown_by_whoever_fits_best(looking: Looking) -> None:
    assert [(one.kind, one.customer_id) for one in six_people(EVERYBODY, looking)] == [
        ("promoter", "better promoter"),
        ("at_risk", "risk"),
        ("left_alone", "by worth"),
        ("complaint", "complaint"),
        ("detractor", "detractor"),
        ("cart", "fresh cart"),
    ]


def test_where_nobody_fits_nobody_is_made_up(looking: Looking) -> None:
    found = six_people([said("calm", "newsletter")], looking)
    assert [one.customer_id for one in found] == [None] * 6
    assert [one.looked_for for one in found] == [kind.looked_for for kind in KINDS]


def test_nobody_is_shown_twice(looking: Looking) -> None:
    both = said("both", "ticket_apology", "detractor", "complaint_open")
    shown = [one.customer_id for one in six_people([both], looking) if one.customer_id]
    assert shown == ["both"]


def test_totals_count_those_who_are_scored() -> None:
    nobody = said("nobody", "no_contact", churn=None)
    found = total("churn_risk", [*EVERYBODY, nobody])
    assert (found.asked, found.high) == (len(EVERYBODY), 1)
    assert found.margin == 5.0


def test_a_sample_is_stable_and_no_larger_than_asked() -> None:
    ids = [f"C-{number}" for number in range(1000)]
    assert sample(ids, 5000) == tuple(ids)
    first = sample(ids, 50)
    assert len(first) == 50
    assert sample(list(reversed(ids)), 50) == first
    assert first != tuple(ids[:50])


@pytest.mark.parametrize("name", ["a", "b", "no_contact"])
def test_a_draw_chooses_what_it_was_made_for(name: str) -> None:
    shares = {"no_contact": 0.05, "b": 0.9, "a": 0.05, "zero": 0.0}
    assert choose(shares, draw_of(name, shares)) == name


def patient(lookout: Lookout) -> None:
    """Wait until nobody looks any more."""
    for _ in range(2500):
        if not lookout._is_busy:
            return
        time.sleep(0.002)
    raise AssertionError("somebody is still looking")


def test_a_look_that_fails_is_counted_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        store = None

    lookout = Lookout()
    for times in (1, 2):
        found = lookout.latest(("key",), cast(Looking, Broken()), 7)
        assert (found.overview, isinstance(found.progress, Progress)) == (None, True)
        patient(lookout)
        assert list(lookout.failures.counts().values()) == [times]
    assert caplog.text.count("everybody could not be looked at: AttributeError at") == 2
    assert "in overview" in caplog.text


def test_the_last_look_is_shown_until_the_next_is_done_and_only_the_newest_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on, begun, ended = threading.Event(), [], []

    def slow(looking: str, seen: Callable[[int, int], None]) -> str:
        begun.append(looking)
        if looking != "first":
            assert go_on.wait(20)
        seen(50, 100)
        ended.append(looking)
        return f"look of {looking}"

    monkeypatch.setattr("serving.console.overview.overview", slow)
    lookout = Lookout()
    assert lookout.latest(("1",), cast(Looking, "first"), 7).overview is None
    patient(lookout)
    assert lookout.latest(("1",), cast(Looking, "first"), 8) == Look(
        cast(Overview, "look of first"), 7, None
    )
    for name in ("second", "third", "fourth"):
        shown = lookout.latest((name,), cast(Looking, name), 9)
        assert (shown.overview, shown.looked_at) == ("look of first", 7)
        assert shown.progress == Progress()
    go_on.set()
    patient(lookout)
    assert lookout.latest(("fourth",), cast(Looking, "fourth"), 10) == Look(
        cast(Overview, "look of fourth"), 9, None
    )
    assert ended == ["first", "fourth"]  # what was superseded was given up
    assert "third" not in begun


def test_who_is_no_longer_like_that_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Now:
        def without_reasons(self) -> "Now":
            return self

        def requires(self, name: str) -> tuple[str, ...]:
            return REQUIRES.get(name, ())

    answers = {one["customer_id"]: one for one in EVERYBODY}
    monkeypatch.setattr(
        "serving.console.overview.said_of", lambda customer_id, looking: answers[customer_id]
    )
    person = Shown("promoter", "", "", "promoter")
    assert still_fits(person, cast(Looking, Now()))
    answers["promoter"] = said("promoter", "no_contact", "advocate")
    assert not still_fits(person, cast(Looking, Now()))
    assert not still_fits(Shown("promoter", "", "", None), cast(Looking, Now()))
