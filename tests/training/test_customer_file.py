"""One customer's page as a single file."""

import re
from pathlib import Path

import pytest

from features.home import Home
from serving.console.customer import UnknownCustomer
from serving.storage.store import Store
from training.customer_file import WrongPage, write_customer_file


def test_the_file_says_who_and_why_and_its_steps_add_up(
    trained: tuple[Home, int], tmp_path: Path
) -> None:
    home, as_of = trained
    with Store.open(home.store) as store:
        known = [one for one in store.customer_ids() if not one.startswith("anon:")]
    added = 0
    for customer_id in known[:12]:
        file = tmp_path / "page.html"
        write_customer_file(customer_id, home, as_of, file)
        text = file.read_text(encoding="utf-8")
        assert customer_id in text
        assert "Simulated." in text
        assert "<script" not in text
        assert "@font-face" not in text
        for said, table in re.findall(
            r"reads ([\d.]+) %</h2>.*?<tbody>(.*?)</tbody>", text, flags=re.DOTALL
        ):
            start, *_, end = re.findall(r"([\d.]+) %</td>", table)
            points = [float(one) for one in re.findall(r"([+-][\d.]+)</td>", table)]
            assert float(start) + sum(points) == pytest.approx(float(end), abs=1e-9)
            assert end == said
            added += 1
    assert added > 5


def test_an_unknown_customer_is_named(trained: tuple[Home, int], tmp_path: Path) -> None:
    home, as_of = trained
    with pytest.raises(UnknownCustomer, match="no customer nobody in Small company"):
        write_customer_file("nobody", home, as_of, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("page.pdf", r"ends in '\.pdf'; must end in \.html; rename it"),
        ("none/page.html", r"no folder .*none; make it first"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(WrongPage, match=words):
        write_customer_file("C-1", Home(tmp_path), 0, tmp_path / name)
