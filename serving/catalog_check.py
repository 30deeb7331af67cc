"""A look at a catalog: every mistake in it and, where there is none, what waits for somebody."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from features.definitions import FEATURES
from serving.catalog import InvalidCatalog, load_catalog
from serving.eligibility import unready


@dataclass(frozen=True, slots=True)
class CatalogCheck:
    """What was found in a catalog.

    Attributes
    ----------
    communications : int
        How many it holds; 0 where it has mistakes.
    waiting : tuple of (communication, what for)
        Entries that are never chosen as they stand. That is no mistake.
    """

    file: str
    communications: int
    mistakes: tuple[str, ...]
    waiting: tuple[tuple[str, str], ...]

    def lines(self) -> Iterator[str]:
        """What was found, in words."""
        if self.mistakes:
            yield from self.mistakes
            count = len(self.mistakes)
            yield f"{self.file}: {count} mistake{'s' * (count > 1)}; nothing else was looked at"
            return
        yield f"{self.file}: {self.communications} communications, no mistakes"
        if self.waiting:
            yield f"{len(self.waiting)} are not chosen until:"
        for name, why in self.waiting:
            yield f"  {name}: {why}"

    def record(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "file": self.file,
            "communications": self.communications,
            "mistakes": list(self.mistakes),
            "waiting": dict(self.waiting),
        }


def check_catalog(path: Path) -> CatalogCheck:
    """Look at a catalog against the features and scores that there are.

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
    unready_entries = (
        (entry.name, " and ".join(obstacle.change for obstacle in unready(entry)))
        for entry in catalog.communications.values()
    )
    waiting = tuple(pair for pair in unready_entries if pair[1])
    return CatalogCheck(str(path), len(catalog.communications), (), waiting)
