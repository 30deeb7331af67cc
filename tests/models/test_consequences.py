"""Consequences: what follows is possible, least, and the impossible is refused by name."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import FEATURES
from features.relations import relations
from models.consequences import Impossible, consequences

KNOWN = relations(FEATURES)
NOBODY = {name: math.nan if "days_since" in name else 0.0 for name in FEATURES.names}
# Two e-mails, a text; one message this week.
WRITTEN_TO = NOBODY | {
    "emails_sent_28d": 2.0,
    "texts_sent_28d": 1.0,
    "contacts_28d": 3.0,
    "contacts_7d": 1.0,
    "days_since_last_contact": 4.0,
    "contacts_half_life_7d": 1.2,
    "surveys_sent_365d": 2.0,
    "survey_answer_rate_365d": 0.5,
    "tickets_90d": 2.0,
    "tickets_unanswered_90d": 1.0,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # An e-mail more is a message more.
        ({"emails_sent_28d": 3}, {"emails_sent_28d": 3, "contacts_28d": 4}),
        # None: the text alone is left, and it may be the one of this week.
        ({"emails_sent_28d": 0}, {"emails_sent_28d": 0, "contacts_28d": 1}),
        # Both nothing: no message this week, or in four weeks.
        (
            {"emails_sent_28d": 0, "texts_sent_28d": 0},
            {
                "emails_sent_28d": 0,
                "texts_sent_28d": 0,
                "contacts_28d": 0,
                "contacts_7d": 0,
                "days_since_last_contact": 29.0,
            },
        ),
        # One message in all: the largest part gives way first.
        (
            {"contacts_28d": 1},
            {"contacts_28d": 1, "emails_sent_28d": 0},
        ),
        # None this week: one less in all, and the last one is a day further than a week.
        (
            {"contacts_7d": 0},
            {
                "contacts_7d": 0,
                "contacts_28d": 2,
                "emails_sent_28d": 1,
                "days_since_last_contact": 8.0,
            },
        ),
        ({"contacts_7d": 3}, {"contacts_7d": 3, "contacts_28d": 5}),
        (
            {"days_since_last_contact": 10},
            {
                "days_since_last_contact": 10,
                "contacts_7d": 0,
                "contacts_28d": 2,
                "emails_sent_28d": 1,
            },
        ),
        (
            {"days_since_last_contact": 40},
            {
                "days_since_last_contact": 40,
                "contacts_7d": 0,
                "contacts_28d": 0,
                "emails_sent_28d": 0,
                "texts_sent_28d": 0,
            },
        ),
        # One answer to two surveys becomes one to four.
        ({"surveys_sent_365d": 4}, {"surveys_sent_365d": 4, "survey_answer_rate_365d": 0.25}),
        ({"tickets_unanswered_90d": 0}, {"tickets_unanswered_90d": 0}),
        ({"contacts_7d": 1}, {}),
    ],
)
def test_what_follows_by_hand(changes: Mapping[str, float], expected: Mapping[str, float]) -> None:
    found = consequences(WRITTEN_TO, changes, KNOWN)
    found.pop("contacts_half_life_7d", None)  # by itself below
    assert found == expected


def test_a_share_of_nothing_is_unknown() -> None:
    found = consequences(WRITTEN_TO, {"surveys_sent_365d": 0}, KNOWN)
    assert math.isnan(found["survey_answer_rate_365d"])
    again = NOBODY | {"survey_answer_rate_365d": math.nan}
    assert consequences(again, {"surveys_sent_365d": 2}, KNOWN)["survey_answer_rate_365d"] == 0


def test_a_fading_count_moves_by_the_mean_weight_of_the_days() -> None:
    """One message more in days 7 to 27: the mean of 2 ** (-age / 7) over those 21 ages."""
    found = consequences(WRITTEN_TO, {"contacts_28d": 4}, KNOWN)
    mean = sum(2 ** (-age / 7) for age in range(7, 28)) / 21
    assert found["contacts_half_life_7d"] == pytest.approx(1.2 + mean, abs=1e-12)
    found = consequences(WRITTEN_TO, {"contacts_7d": 2}, KNOWN)
    mean = sum(2 ** (-age / 7) for age in range(7)) / 7
    assert found["contacts_half_life_7d"] == pytest.approx(1.2 + mean, abs=1e-12)


def test_the_first_message_was_in_the_middle_of_its_window() -> None:
    found = consequences(NOBODY, {"contacts_7d": 1}, KNOWN)
    assert (found["days_since_last_contact"], found["contacts_28d"]) == (3.5, 1)
    found = consequences(NOBODY, {"emails_sent_28d": 1}, KNOWN)
    assert found["days_since_last_contact"] == 8.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"emails_sent_28d": 5, "contacts_28d": 2},
            "contacts_28d = 2 with emails_sent_28d = 5, texts_sent_28d = 0, pushes_sent_28d = 0",
        ),
        (
            {"tickets_unanswered_90d": 3},
            "tickets_unanswered_90d = 3 with tickets_90d = 2: it is at most tickets_90d",
        ),
        (
            {"days_since_last_contact": 3, "contacts_7d": 0},
            "days_since_last_contact = 3 with contacts_7d = 0: one of them says that there was one",
        ),
    ],
)
def test_what_nobody_can_be_is_refused(changes: Mapping[str, float], words: str) -> None:
    with pytest.raises(Impossible) as caught:
        consequences(WRITTEN_TO, changes, KNOWN)
    assert words in str(caught.value)


CHANGES = st.dictionaries(
    st.sampled_from(
        [
            *("emails_sent_28d", "texts_sent_28d", "pushes_sent_28d"),
            *("contacts_7d", "contacts_28d", "days_since_last_contact", "surveys_sent_365d"),
        ]
    ),
    st.integers(0, 40).map(float),
    min_size=1,
    max_size=3,
)


@given(st.sampled_from([NOBODY, WRITTEN_TO]), CHANGES)
def test_what_comes_out_could_be_a_customer(
    before: Mapping[str, float], changes: dict[str, float]
) -> None:
    """The oracle is what the kernel's counts can be, said here in its own words."""
    changes = {name: max(v, 0.5) if "days" in name else v for name, v in changes.items()}
    try:
        now = {**before, **consequences(before, changes, KNOWN)}
    except Impossible:
        return
    assert all(now[name] == value for name, value in changes.items())
    channels = now["emails_sent_28d"] + now["texts_sent_28d"] + now["pushes_sent_28d"]
    assert max(channels, now["contacts_7d"]) <= now["contacts_28d"]
    days = now["days_since_last_contact"]
    assert (days <= 7) == (now["contacts_7d"] >= 1)
    assert (days <= 28) == (now["contacts_28d"] >= 1)
    assert now["contacts_half_life_7d"] >= 0
    untouched = set(now) - {
        *changes,
        *("emails_sent_28d", "texts_sent_28d", "pushes_sent_28d", "contacts_7d", "contacts_28d"),
        *("days_since_last_contact", "contacts_half_life_7d", "survey_answer_rate_365d"),
    }
    for name in untouched:
        assert now[name] == before[name] or (math.isnan(now[name]) and math.isnan(before[name]))
