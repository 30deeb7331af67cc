from collections.abc import Callable
from pathlib import Path

import pytest

from features.signals import DAY
from serving.catalog import SHIPPED
from serving.catalog_check import check_catalog

NOW = 20_000 * DAY  # 2024-10-04
ENTRY = """
[{name}]
title = "{title}"
channel = "email"
class = "marketing"
purpose = "marketing"
stages = ["active"]
cost = 0.02
window_days = 7
prior.share = {share}
prior.share_sd = 0.05
prior.of = "{of}"
prior.opt_out = 0.001
prior.weight = 100
prior.source = "Judgement."
"""


def entry(name: str, title: str = "Hello", share: str = "0.1", of: str = "usual_margin") -> str:
    return ENTRY.format(name=name, title=title, share=share, of=of)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        file = tmp_path / "catalog.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_two_entries_with_one_title_are_named(written: Callable[[str], Path]) -> None:
    text = (
        entry("spring", "Spring  offer") + entry("summer", "Summer") + entry("may", "spring OFFER")
    )
    found = check_catalog(written(text), NOW)
    assert found.mistakes == ()
    assert found.remarks == (
        "spring, may: the same title 'Spring  offer'; nobody can tell them apart on a page or in a "
        "list; word one of them otherwise",
    )
    assert list(found.lines())[-2:] == ["Worth a second look:", f"  {found.remarks[0]}"]
    assert found.record()["remarks"] == list(found.remarks)


def test_events_that_only_the_company_sends_are_named(written: Callable[[str], Path]) -> None:
    moment = (
        'trigger = ["Moon Landed"]\nwithin = "2 days"\ncancel_on = ["Order Completed", "Sun Set"]'
    )
    found = check_catalog(written(entry("a").replace("cost", f"{moment}\ncost")), NOW)
    assert found.remarks == (
        "a: trigger 'Moon Landed' is an event of your own; nothing happens until signals of "
        "exactly this name come in",
        "a: cancel_on 'Sun Set' is an event of your own; nothing happens until signals of exactly "
        "this name come in",
    )


def test_an_entry_whose_last_day_is_over_waits(written: Callable[[str], Path]) -> None:
    file = written(entry("a").replace("cost", "valid_until = 2024-10-03\ncost"))
    assert check_catalog(file, NOW - 1).waiting == ()
    found = check_catalog(file, NOW)
    assert found.waiting == (("a", "valid_until in catalog.toml is later than 2024-10-03"),)
    assert list(found.lines())[:2] == [
        f"{file}: 1 communication, no mistakes",
        "1 is not chosen until:",
    ]


def test_an_entry_whose_first_day_is_to_come_waits(written: Callable[[str], Path]) -> None:
    file = written(entry("a").replace("cost", "valid_from = 2024-10-05\ncost"))
    assert check_catalog(file, NOW).waiting == (("a", "it is 2024-10-05"),)
    assert check_catalog(file, NOW + DAY).waiting == ()


@pytest.mark.parametrize("share", ["6", "-1.5"])
def test_a_share_of_a_margin_above_one_is_a_mistake(
    written: Callable[[str], Path], share: str
) -> None:
    found = check_catalog(written(entry("a", share=share)), NOW)
    number = float(share)
    assert found.mistakes == (
        f"catalog.toml: communication 'a': prior: share {number:g}; a part of a margin lies "
        f"between -1 and 1; for {number:g} % write {number / 100:g}, and for an amount of money "
        'of = "1"',
    )
    assert check_catalog(written(entry("a", share=share, of="1")), NOW).mistakes == ()


def test_a_chain_without_end_and_a_circle_of_three_are_named(
    written: Callable[[str], Path],
) -> None:
    def step(name: str, waits: str) -> str:
        return entry(name, name).replace("cost", f'{waits}\nwithin = "2 days"\ncost')

    begin = step("s0", 'trigger = ["Signed Up"]')
    chain = [begin, *(step(f"s{n}", f'after = "s{n - 1}"') for n in range(1, 1000))]
    found = check_catalog(written("".join(chain[:50])), NOW)
    assert (found.communications, found.mistakes, found.remarks) == (50, (), ())
    mistakes = check_catalog(written("".join(chain)), NOW).mistakes
    assert len(mistakes) == 950
    assert mistakes[0] == (
        "catalog.toml: communication 's50': step 51 of its sequence; a sequence has at most 50 "
        "steps; begin another one with a trigger"
    )
    circle = "".join(step(f"s{n}", f'after = "s{(n + 1) % 3}"') for n in range(3))
    assert len(check_catalog(written(circle), NOW).mistakes) == 3


def test_the_shipped_catalog_gives_no_cause_for_a_second_look() -> None:
    assert check_catalog(SHIPPED, NOW).remarks == ()
