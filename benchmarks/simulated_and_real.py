"""Lay the simulated company beside real ones, and write what is found into docs/.

Run by ``make realism``. Hillstrom's experiment is no package: without its file (see README) the
table of effects has no real row, and says so.
"""

import csv
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.sources.complete_journey import complete_journey_signals
from training.demo import SEED
from training.simulator.company import CompanySize, SimulatedCompany, simulate_company

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "simulated-and-real.md"
PICTURE: Final = ROOT / "docs" / "order-gaps.svg"
HILLSTROM: Final = ROOT.parent / "shared" / "data" / "hillstrom" / "hillstrom.csv"
QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shop:
    """Order days of one data set: customer and day, one row a customer and day."""

    name: str
    customers: int
    once: float
    gaps: Floats


def shop(name: str, orders: Iterable[tuple[str, int]]) -> Shop:
    """Gaps in days between the order days of each customer."""
    days: dict[str, set[int]] = {}
    for customer, day in orders:
        days.setdefault(customer, set()).add(day)
    gaps = [np.diff(sorted(seen)) for seen in days.values() if len(seen) > 1]
    once = sum(len(seen) == 1 for seen in days.values()) / len(days)
    return Shop(name, len(days), once, np.concatenate(gaps).astype(np.float64))


def cdnow_orders() -> Iterator[tuple[str, int]]:
    """CDNOW: 23,570 people who first bought in early 1997, until mid 1998."""
    files = importlib.metadata.files("lifetimes") or []
    path = next(Path(str(file.locate())) for file in files if file.name == "CDNOW_master.txt")
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        words = line.split()
        if len(words) >= 2:
            yield words[0], datetime.strptime(words[1], "%Y%m%d").toordinal()


def journey_orders() -> Iterator[tuple[str, int]]:
    """Complete Journey: baskets of 2,469 households in 2017."""
    table = complete_journey_signals()
    yield from _orders([table])


def simulated_orders(company: SimulatedCompany) -> Iterator[tuple[str, int]]:
    """Orders of the demo company over two years."""
    yield from _orders(company.signals.values())


def _orders(tables: Iterable[object]) -> Iterator[tuple[str, int]]:
    for table in tables:
        orders = table.filter(pc.equal(table["event"], "Order Completed"))  # type: ignore[attr-defined]
        moments = pc.cast(orders["occurred_at"], "timestamp[us]").to_pylist()
        for customer, moment in zip(orders["customer_id"].to_pylist(), moments, strict=True):
            yield customer, moment.toordinal()


def effect_rows(company: SimulatedCompany) -> list[str]:
    """Mean true effect of each communication over the pilot's moments, in money."""
    pilot = company.pilot
    names = [name for name in pilot.column_names if name.startswith("effect_")]
    rows = []
    for name in names:
        communication = name.removeprefix("effect_")
        fits = pilot[f"eligible_{communication}"].to_numpy()
        effects = pilot[name].to_numpy()[fits]
        harmed = float(np.mean(effects < 0))
        rows.append(
            f"| simulated: {communication} | {len(effects):,} | {effects.mean():+.2f} EUR | "
            f"{effects.std():.2f} | {harmed:.0%} | 28 days |"
        )
    return rows


def hillstrom_rows() -> list[str]:
    """Mean difference in spend to nobody mailed, with its standard error."""
    if not HILLSTROM.exists():
        sys.stderr.write(f"{HILLSTROM.name} is not here: the real row of effects is left out\n")
        return ["| Hillstrom's experiment | the file was not there when this page was made |||||"]
    with HILLSTROM.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    spend = {
        arm: np.array([float(row["spend"]) for row in rows if row["segment"] == arm])
        for arm in {row["segment"] for row in rows}
    }
    nobody = spend["No E-Mail"]
    found = []
    for arm in ("Mens E-Mail", "Womens E-Mail"):
        difference = spend[arm].mean() - nobody.mean()
        error = np.sqrt(spend[arm].var() / len(spend[arm]) + nobody.var() / len(nobody))
        found.append(
            f"| Hillstrom: {arm} | {len(spend[arm]):,} | {difference:+.2f} USD of spend "
            f"(s.e. {error:.2f}) | not to be seen | not to be seen | 14 days |"
        )
    return found


def gap_rows(shops: list[Shop]) -> list[str]:
    """Customers, share who ordered on one day only, and quantiles of the gaps."""
    return [
        f"| {one.name} | {one.customers:,} | {one.once:.0%} | "
        + " | ".join(f"{value:.0f}" for value in np.quantile(one.gaps, QUANTILES))
        + " |"
        for one in shops
    ]


def picture(shops: list[Shop]) -> str:
    """Share of gaps not longer than so many days, a line a shop, as SVG."""
    width, height, left, top = 640, 300, 50, 20
    days = np.arange(1, 121)
    colors = ("#0b6e4f", "#b3541e", "#3b5b92")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" role="img" '
        'aria-label="Share of gaps between orders not longer than a number of days">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    inner_w, inner_h = width - left - 20, height - top - 50
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = top + inner_h * (1 - share)
        parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    for day in (1, 30, 60, 90, 120):
        x = left + inner_w * (day - 1) / 119
        parts.append(f'<text x="{x}" y="{top + inner_h + 18}" text-anchor="middle">{day}</text>')
    for place, (one, color) in enumerate(zip(shops, colors, strict=True)):
        shares = np.searchsorted(np.sort(one.gaps), days, side="right") / len(one.gaps)
        points = " ".join(
            f"{left + inner_w * (day - 1) / 119:.1f},{top + inner_h * (1 - share):.1f}"
            for day, share in zip(days, shares, strict=True)
        )
        parts.append(_line(points, color))
        y = top + inner_h - 60 + 18 * place
        parts.append(_line(f"430,{y - 4} 455,{y - 4}", color))
        parts.append(f'<text x="462" y="{y}">{one.name}</text>')
    middle = left + inner_w / 2
    caption = "days between two orders"
    parts.append(f'<text x="{middle}" y="{height - 8}" text-anchor="middle">{caption}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _line(points: str, color: str) -> str:
    return f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{points}"/>'


def page(shops: list[Shop], effects: list[str]) -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Simulated against real",
            "",
            "The demo company is invented. These are the two things that make an invented company",
            "useful or useless: how its customers come back, and how little a message changes.",
            "`make realism` makes this page.",
            "",
            "## Days between two orders of one customer",
            "",
            "| data | customers | ordered on one day only | 10 % | 25 % | median | 75 % | 90 % |",
            "|---|---|---|---|---|---|---|---|",
            *gap_rows(shops),
            "",
            "![Share of gaps not longer than a number of days](order-gaps.svg)",
            "",
            "The demo company lies between a grocer, whom people visit every few days, and a music",
            "shop of 1997, to which most came once. It sells coffee, which runs out.",
            "",
            "## What a message changes",
            "",
            "Rows of the demo company are its hidden truth: money of the 28 days that follow, less",
            "what is lost with those who leave for having been contacted. Spread and share of the",
            "harmed are over customers who fit the message; no experiment shows these two.",
            "",
            "| message | people | mean effect | spread | harmed | window |",
            "|---|---|---|---|---|---|",
            *effects,
            "",
            "Hillstrom's experiment (2008) mailed two of three groups of 64,000 buyers by lot.",
            "Its figures are spend, those of the demo company margin (30 % of spend) less losses:",
            "multiply the real rows by .3 to compare. They cannot be made again from this project",
            "alone: the file is no package and has no license to ship it with.",
            "",
        ]
    )


def main() -> None:
    """Write the page and its picture."""
    company = simulate_company(np.random.default_rng(SEED), CompanySize())
    shops = [
        shop("Demo company (simulated)", simulated_orders(company)),
        shop("Complete Journey (grocer, real)", journey_orders()),
        shop("CDNOW (music, real)", cdnow_orders()),
    ]
    PICTURE.write_text(picture(shops), encoding="utf-8")
    PAGE.write_text(page(shops, [*effect_rows(company), *hillstrom_rows()]), encoding="utf-8")
    sys.stderr.write(f"wrote {PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
