"""Write the three files of an invented German garden shop, as its own systems would export them.

Run from anywhere: ``python tests/foreign_shop/make.py``. The same files come out every time.
They look unlike ours on purpose: semicolons, day-first dates, decimal commas, no message ids.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
START, END = datetime(2024, 10, 1), datetime(2025, 10, 31, 20, 0)
GOODS = {"Saatgut": 9, "Pflanzen": 24, "Erde & Dünger": 18, "Werkzeug": 39, "Gartenmöbel": 420}
TOWNS = ("Köln", "Münster", "Gießen", "Lübeck", "Görlitz", "Passau")
NAMES = ("Jürgen", "Käthe", "Anja", "Sören", "Miriam", "Uwe", "Bärbel", "Emine", "Jonas", "Zoë")
SURNAMES = ("Müller", "Schäfer", "Yilmaz", "Groß", "Lindner", "Weiß", "Köhler", "Novak", "Brandt")


@dataclass
class Person:
    number: str
    since: datetime
    gap_days: float
    stops: datetime
    reads: float
    opted_in: datetime | None
    opted_out: datetime | None = None
    orders: list[datetime] = field(default_factory=list)


def people(rng: np.random.Generator) -> list[Person]:
    """Regulars, occasional buyers, those who left, newcomers, and some who never bought."""
    found = []
    for place in range(140):
        kind = ("regular", "regular", "occasional", "occasional", "left", "new", "none")[place % 7]
        since = START + timedelta(days=float(rng.uniform(0, 120)))
        stops = END
        if kind == "left":
            stops = END - timedelta(days=float(rng.uniform(30, 150)))
        if kind in ("new", "none"):
            since = END - timedelta(days=float(rng.uniform(3, 40 if kind == "new" else 200)))
        gap = float(rng.gamma(6, 2.2)) + 4 if kind in ("regular", "left") else 18 + rng.gamma(4, 5)
        if kind == "new":
            gap = 9.0
        consents = rng.random() < 0.75
        person = Person(
            number=f"K{10_000 + 37 * place}",
            since=since.replace(second=0, microsecond=0),
            gap_days=gap,
            stops=START if kind == "none" else stops,
            reads=float(rng.beta(2, 3)),
            opted_in=since + timedelta(days=int(rng.integers(0, 9))) if consents else None,
        )
        if person.opted_in and rng.random() < 0.12:
            later = person.opted_in + timedelta(days=int(rng.integers(30, 200)))
            person.opted_out = later if later < END else None
        if person.opted_in and person.opted_in > END:
            person.opted_in = None
        found.append(person)
    return found


def orders(rng: np.random.Generator, everyone: Iterable[Person]) -> list[list[str]]:
    rows = []
    for person in everyone:
        when = person.since + timedelta(days=float(rng.uniform(0, 3)))
        while when < min(person.stops, END):
            person.orders.append(when)
            goods = str(rng.choice(list(GOODS), p=(0.3, 0.28, 0.24, 0.14, 0.04)))
            total = GOODS[goods] * float(rng.lognormal(0.2, 0.5))
            discount = round(total * 0.1, 2) if rng.random() < 0.2 else 0.0
            sent = when + timedelta(days=1 + int(rng.integers(0, 2)))
            brought = sent + timedelta(days=1 + int(rng.integers(0, 3)))
            rows.append(
                [
                    when,
                    person.number,
                    when.strftime("%d.%m.%Y %H:%M"),
                    goods,
                    money(total - discount),
                    money(discount) if discount else "",
                    sent.strftime("%d.%m.%Y") if sent < END else "",
                    brought.strftime("%d.%m.%Y") if brought < END else "",
                ]
            )
            # In spring and early summer a garden wants more.
            season = 0.7 if when.month in (3, 4, 5, 6) else 1.15
            when += timedelta(days=max(0.8, person.gap_days * season * float(rng.gamma(3, 1 / 3))))
    rows.sort(key=lambda row: row[0])
    return [[f"B-{250_001 + place}", *row[1:]] for place, row in enumerate(rows)]


def mails(rng: np.random.Generator, everyone: Iterable[Person]) -> list[list[str]]:
    rows = []
    sent = START + timedelta(days=10, hours=9)
    issue = 1
    while sent < END:
        for person in everyone:
            if person.opted_in is None or person.opted_in > sent:
                continue
            if person.opted_out and person.opted_out < sent:
                continue
            bought_lately = any(sent - timedelta(days=60) < when < sent for when in person.orders)
            opened = rng.random() < person.reads * (1.0 if bought_lately else 0.4)
            at = sent + timedelta(hours=float(rng.exponential(8)))
            clicked = opened and rng.random() < 0.3 and at < END
            rows.append(
                [
                    person.number,
                    f"Gartenbrief {issue}",
                    sent.strftime("%d.%m.%Y %H:%M"),
                    at.strftime("%d.%m.%Y %H:%M") if opened and at < END else "",
                    (at + timedelta(minutes=4)).strftime("%d.%m.%Y %H:%M") if clicked else "",
                ]
            )
        sent += timedelta(days=14)
        issue += 1
    return rows


def customers(rng: np.random.Generator, everyone: Iterable[Person]) -> list[list[str]]:
    return [
        [
            person.number,
            str(rng.choice(NAMES)),
            str(rng.choice(SURNAMES)),
            f"kunde{place}@beispiel.invalid",
            str(rng.choice(TOWNS)),
            person.since.strftime("%d.%m.%Y"),
            person.opted_in.strftime("%d.%m.%Y") if person.opted_in else "",
            person.opted_out.strftime("%d.%m.%Y") if person.opted_out else "",
        ]
        for place, person in enumerate(everyone)
    ]


def money(amount: float) -> str:
    """An amount as Germans write it: 1.249,00."""
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))


def write(name: str, header: list[str], rows: list[list[str]], encoding: str) -> None:
    with (FOLDER / name).open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    """Write bestellungen.csv, kunden.csv and newsletter.csv beside this script."""
    rng = np.random.default_rng(7)
    everyone = people(rng)
    bought = orders(rng, everyone)
    write(
        "bestellungen.csv",
        [
            "Bestellnr.",
            "Kundennr.",
            "Bestelldatum",
            "Warengruppe",
            "Rechnungsbetrag",
            "Rabatt",
            "Versandt am",
            "Zugestellt am",
        ],
        bought,
        "utf-8",
    )
    write(
        "newsletter.csv",
        ["Kundennr.", "Ausgabe", "Versendet am", "Geöffnet am", "Geklickt am"],
        mails(rng, everyone),
        "utf-8-sig",
    )
    write(
        "kunden.csv",
        [
            "Kundennr.",
            "Vorname",
            "Nachname",
            "E-Mail",
            "Ort",
            "Kunde seit",
            "Newsletter seit",
            "Newsletter abgemeldet am",
        ],
        customers(rng, everyone),
        "latin-1",
    )


if __name__ == "__main__":
    main()
