"""A look at a catalog: every mistake in it and, where there is none, what waits for somebody."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from features.counting import counted
from features.definitions import FEATURES
from features.signals import KNOWN_EVENTS
from serving.catalog import Catalog, InvalidCatalog, load_catalog
from serving.communication import Communication
from serving.eligibility import out_of_dates, unready


@dataclass(frozen=True, slots=True)
class CatalogCheck:
    """What was found in a catalog.

    Attributes
    ----------
    communications : int
        How many it holds; 0 where it has mistakes.
    waiting : tuple of (communication, what for)
        Entries that are never chosen as they stand. That is no mistake.
    remarks : tuple of str
        What may be meant and is worth a second look.
    """

    file: str
    communications: int
    mistakes: tuple[str, ...]
    waiting: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """What was found, in words."""
        if self.mistakes:
            yield from self.mistakes
            count = counted(len(self.mistakes), "mistake")
            yield f"{self.file}: {count}; nothing else was looked at"
            return
        yield f"{self.file}: {counted(self.communications, 'communication')}, no mistakes"
        if self.waiting:
            verb = "is" if len(self.waiting) == 1 else "are"
            yield f"{len(self.waiting)} {verb} not chosen until:"
        for name, why in self.waiting:
            yield f"  {name}: {why}"
        if self.remarks:
            yield "Worth a second look:"
        for remark in self.remarks:
            yield f"  {remark}"

    def record(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "file": self.file,
            "communications": self.communications,
            "mistakes": list(self.mistakes),
            "waiting": dict(self.waiting),
            "remarks": list(self.remarks),
        }


def check_catalog(path: Path, now: int) -> CatalogCheck:
    """Look at a catalog against the features and scores that there are.

    Parameters
    ----------
    now : int
        Microseconds UTC; nothing is chosen before its first day, nor after its last.

    Raises
    ------
    InvalidCatalog
        If there is no such file.
    """
    try:
        catalog = load_catalog(path, FEATURES.names)
    except InvalidCatalog as error:
        if isinstance(error.__cause__, OSError):
            raise
        return CatalogCheck(str(path), 0, error.mistakes, ())
    waiting = (
        (
            entry.name,
            " and ".join(each.change for each in (*unready(entry), *out_of_dates(entry, now))),
        )
        for entry in catalog.communications.values()
    )
    return CatalogCheck(
        str(path),
        len(catalog.communications),
        (),
        tuple(pair for pair in waiting if pair[1]),
        tuple(chain(_same_titles(catalog), _own_events(catalog))),
    )


def _same_titles(catalog: Catalog) -> Iterator[str]:
    """Entries that people cannot tell apart by what they read."""
    alike: dict[str, list[Communication]] = {}
    for entry in catalog.communications.values():
        alike.setdefault(" ".join(entry.title.casefold().split()), []).append(entry)
    for entries in alike.values():
        if len(entries) > 1:
            names = ", ".join(entry.name for entry in entries)
            yield (
                f"{names}: the same title '{entries[0].title}'; nobody can tell them apart on a "
                "page or in a list; word one of them otherwise"
            )


def _own_events(catalog: Catalog) -> Iterator[str]:
    """Events that only the company itself can send: a slip of the pen waits for ever."""
    for entry in catalog.communications.values():
        if entry.moment is None:
            continue
        for key, names in (
            ("trigger", entry.moment.trigger),
            ("cancel_on", entry.moment.cancel_on),
        ):
            for name in names:
                if name.partition("/")[0] not in KNOWN_EVENTS:
                    yield (
                        f"{entry.name}: {key} '{name}' is an event of your own; nothing happens "
                        "until signals of exactly this name come in"
                    )
