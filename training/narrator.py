"""Say what long work is doing: live on a terminal, plain lines elsewhere."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Narrator:
    """Speaks on standard error, so that standard output stays for results.

    `quiet` says nothing at all: for `--json` and for tests.
    """

    quiet: bool = False
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    def say(self, line: str) -> None:
        """One line, as it stands."""
        if not self.quiet:
            self.console.print(line, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show `what` while it runs, and how many seconds it took."""
        started = perf_counter()
        if self.quiet:
            yield
            return
        if self.console.is_terminal:
            with self.console.status(what):
                yield
        else:
            self.say(f"{what} ...")
            yield
        self.say(f"{what}: done in {perf_counter() - started:.1f} s")

    def each(self, items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
        """Pass the items on, showing how far it is: a bar, or a line at every tenth."""
        if self.quiet:
            yield from items
        elif self.console.is_terminal:
            yield from track(items, description=what, total=total, console=self.console)
        else:
            tenth = max(1, total // 10)
            for number, item in enumerate(items, start=1):
                yield item
                if number % tenth == 0:
                    self.say(f"{what}: {number:,} of {total:,}")
