"""Traits that decide how a customer is contacted, however they are spelt."""

import json

import pytest

from features.traits import channels_named, known_time_zone, trait_changes


def said(properties: object) -> dict[str, str]:
    return {c.name: c.value for c in trait_changes("c", json.dumps(properties), 1, 2)}


@pytest.mark.parametrize(
    "stated",
    [
        {"household_id": "H7"},
        {"traits": {"household_id": "H7"}},
        {"traits": {"householdId": " H7 "}},
        {"household": "X", "traits": {"Household-ID": "H7"}},
    ],
)
def test_a_household_is_known_however_it_is_spelt(stated: object) -> None:
    assert said(stated) == {"household_id": "H7"}


def test_only_what_decides_on_contacts_is_kept() -> None:
    stated = {"plan": "gold", "timeZone": "Europe/Berlin", "preferred_channel": ["sms", "email"]}
    assert said({"traits": stated}) == {
        "timezone": "Europe/Berlin",
        "preferred_channel": "sms, email",
    }
    assert said({"traits": "gold"}) == {}
    assert trait_changes("c", None, 1, 2) == trait_changes("c", "[1]", 1, 2) == []


def test_a_trait_is_taken_back_by_saying_nothing() -> None:
    assert said({"household_id": None}) == {"household_id": ""}
    assert said({"household_id": "H" * 200}) == {"household_id": ""}
    (change,) = trait_changes("c", json.dumps({"household_id": 7}), 1, 2)
    assert (change.customer_id, change.value) == ("c", "7")
    assert (change.occurred_at, change.received_at) == (1, 2)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "Europe", "../../etc/passwd", "/etc/passwd"])
def test_what_names_no_time_zone_is_none(name: str) -> None:
    assert known_time_zone(name) is None


def test_time_zones_and_channels_are_read() -> None:
    assert str(known_time_zone("Asia/Kolkata")) == "Asia/Kolkata"
    assert channels_named("SMS; E-Mail") == ("email", "sms")
    assert channels_named("phone/letter") == ("call", "post")
    assert channels_named("pigeon") == ()
