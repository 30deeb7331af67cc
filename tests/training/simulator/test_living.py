"""The living company: the demo company until the handover, then its own additions, and no more."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.signals import DAY, SECOND
from training.simulator import living
from training.simulator.company import CompanySize, opened, simulate_company
from training.simulator.effects import COMMUNICATIONS, true_effects
from training.simulator.living import MONTH_DAYS, founded
from training.simulator.signals import FILES

PEOPLE, HISTORY = 100, 240


@pytest.fixture(scope="module")
def company():
    """At the handover."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living, "HISTORY_DAYS", HISTORY)
        yield founded(np.random.default_rng(8), PEOPLE, 0, 1.0)


@pytest.fixture(scope="module")
def news(company):
    """What was heard until the handover."""
    return company.news()


def told(table: pa.Table) -> list[tuple[object, ...]]:
    """Rows without their numbers, which scanners' rows shift; scanners' rows left out."""
    rows = table.drop_columns(["message_id"]).to_pylist()
    return sorted(repr(sorted(one.items())) for one in rows)


def test_until_the_handover_it_is_the_demo_company(news) -> None:
    """Scanners draw from a stream of their own: all but their signals is as it would be."""
    demo = simulate_company(np.random.default_rng(8), CompanySize(PEOPLE, HISTORY))
    for name in FILES:
        if name != "email":
            assert told(news[name]) == told(demo.signals[name])
    extra = set(told(news["email"])) - set(told(demo.signals["email"]))
    assert set(told(demo.signals["email"])) <= set(told(news["email"]))
    assert extra
    assert all("Email Opened" in one or "Email Link Clicked" in one for one in extra)


def test_news_are_told_once_and_in_time(company, news) -> None:
    first, handover = news, company.now
    company.live(MONTH_DAYS)
    second = company.news()
    assert company.now == handover + MONTH_DAYS * DAY
    for table, low, high in ((first, 0, handover), (second, handover, company.now)):
        received = pa.concat_tables(table.values())["received_at"].cast(pa.int64()).to_numpy()
        assert received.min() >= low
        assert received.max() < high
    ids = pa.concat_tables([*first.values(), *second.values()])["message_id"]
    assert len(pc.unique(ids)) == len(ids)
    assert company.news() == {}
    # Without anybody to decide, nothing is decided.
    assert "Decision Made" not in pc.unique(second["email"]["event"]).to_pylist()
    assert "pilot" not in second


def test_scanners_open_within_seconds_of_the_sending(company) -> None:
    email = company.shop.book.entries["email"]
    sent = {
        (int(who), int(at))
        for one in (*email, *company.shop.book.entries["pilot"])
        if one.event in living.MAILS
        for who, at in zip(one.who, one.occurred_at, strict=True)
    }
    soon = 0
    mails = sorted(sent)
    at_of: dict[int, np.ndarray] = {
        who: np.array([at for one, at in mails if one == who]) for who in {one for one, _ in mails}
    }
    for one in email:
        if one.event != "Email Opened":
            continue
        for who, at in zip(one.who.tolist(), one.occurred_at.tolist(), strict=True):
            gaps = at - at_of[who]
            if ((gaps >= 0) & (gaps < 10 * SECOND)).any():
                soon += 1
                assert company.scanned[who]
    assert soon == company.machine_opens > 50


def test_strength_scales_what_communications_do() -> None:
    shop = opened(np.random.default_rng(1), CompanySize(400, 300))
    shop.day = 200
    shop.lives.orders[:] = 3
    shop.lives.last_order[:] = 190
    shop.lives.next_order[:] = 205
    whole, half, none = (true_effects(shop, strength) for strength in (1.0, 0.5, 0.0))
    np.testing.assert_allclose(half.extra_order, whole.extra_order / 2)
    np.testing.assert_allclose(half.leaves, whole.leaves / 2)
    assert (none.leaves == 0).all()
    others = [place for place, name in enumerate(COMMUNICATIONS) if name != "winback_offer"]
    # An offer is also taken by whoever would have ordered anyway: that cost does not shrink.
    np.testing.assert_allclose(half.value[:, others], whole.value[:, others] / 2)
    assert (none.value[:, others] == 0).all()


def test_drift_sets_in_at_the_handover(company) -> None:
    start = replace(company, shop=replace(company.shop, day=HISTORY))
    assert (start.strength_today() == 1.0).all()
    later = replace(company, shop=replace(company.shop, day=HISTORY + 2 * MONTH_DAYS))
    np.testing.assert_allclose(later.strength_today(), 1 + 2 * company.tilt)
    assert 0 < np.abs(company.tilt).max() <= living.DRIFT_A_MONTH
