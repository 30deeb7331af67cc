"""What definitions imply: read off a small feature set by hand, and true of real signals."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.algebra import Feature, FeatureSet
from features.batch import feature_row
from features.definitions import FEATURES
from features.expressions import Signals
from features.relations import AtMost, Parts, Recency, Share, Whole, relations
from features.signals import ABSENT, DAY, SignalColumns, code

AS_OF = 1_788_220_800_000_000
EVENTS = ("Email Sent", "SMS Sent", "Push Notification Sent", "Call Made", "Ticket Opened")


def feature(name: str, expression: object) -> Feature:
    return Feature(name, name, "things", "pressure", expression)  # type: ignore[arg-type]


def test_relations_of_a_small_set_by_hand() -> None:
    mails, both = Signals("Email Sent"), Signals("Email Sent", "SMS Sent")
    opened = Signals("Email Opened").count.within(28)
    found = relations(
        FeatureSet(
            (
                feature("mails_7d", mails.count.within(7)),
                feature("mails_28d", mails.count.within(28)),
                feature("texts_28d", Signals("SMS Sent").count.within(28)),
                feature("both_28d", both.count.within(28)),
                feature("days_since_mail", mails.recency),
                feature("open_rate", opened / mails.count.within(28)),
                feature("unopened", mails.count.within(28) - opened),
                feature("fading", both.decayed_count(7)),
            )
        )
    )
    assert found.wholes == (
        Whole("mails_28d", (Parts(("mails_7d",), apart=True),)),
        Whole(
            "both_28d",
            (Parts(("mails_7d",), apart=True), Parts(("mails_28d", "texts_28d"), apart=True)),
        ),
    )
    assert found.recencies == (
        Recency("days_since_mail", "mails_7d", 7),
        Recency("days_since_mail", "mails_28d", 28),
    )
    assert found.bounds == (AtMost("unopened", "mails_28d"),)
    assert found.shares == (Share("open_rate", "mails_28d"),)
    assert [(each.fading, each.half_life, each.counts) for each in found.fadings] == [
        ("fading", 7, ((28, "both_28d"),))
    ]
    assert found.whole_numbers == {"mails_7d", "mails_28d", "texts_28d", "both_28d", "unopened"}


def test_counts_that_share_signals_are_not_added_up() -> None:
    mails, both, all_of_them = (
        Signals("Email Sent"),
        Signals("Email Sent", "SMS Sent"),
        Signals("Email Sent", "SMS Sent", "Call Made"),
    )
    found = relations(
        FeatureSet(
            tuple(
                feature(name, signals.count.within(28))
                for name, signals in (("mails", mails), ("both", both), ("all", all_of_them))
            )
        )
    )
    assert found.wholes[-1] == Whole("all", (Parts(("mails", "both"), apart=False),))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0.01, 400)), max_size=12))
def test_every_relation_holds_for_real_signals(past: list[tuple[str, float]]) -> None:
    past = sorted(past, key=lambda each: -each[1])
    at = np.array([AS_OF - int(days * DAY) for _, days in past], dtype=np.int64)
    absent = np.full(len(past), ABSENT, dtype=np.int64)
    events = np.array([code(event) for event, _ in past], dtype=np.int64)
    signals = SignalColumns(events, at, at, absent, absent, np.zeros(len(past), dtype=np.int64))
    row = dict(zip(FEATURES.names, feature_row(FEATURES, signals, AS_OF).tolist(), strict=True))
    known = relations(FEATURES)
    for whole in known.wholes:
        for parts in whole.parts:
            each = [row[name] for name in parts.names]
            assert (sum(each) if parts.apart else max(each)) <= row[whole.name]
    for recency in known.recencies:
        assert (row[recency.days] <= recency.window) == (row[recency.count] >= 1)
    for bound in known.bounds:
        assert row[bound.small] <= row[bound.large]
    for name in known.whole_numbers:
        assert row[name] == round(row[name])
