"""What a bench prints: a figure beside its bar and its peer, as one JSON object a line."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One figure beside its bar and its peer.

    Attributes
    ----------
    bar : float or None
        None: printed, with nothing to reach.
    higher : bool
        Which side of the bar is good.
    low, high : float or None
        95 % interval of the value.
    holds : bool or None
        Whether the bar is reached, where value and bar do not tell it.
    """

    bench: str
    name: str
    figure: str
    value: float | None
    bar: float | None = None
    higher: bool = True
    low: float | None = None
    high: float | None = None
    peer: str | None = None
    peer_value: float | None = None
    note: str = ""
    holds: bool | None = None

    def text(self) -> str:
        """The line as JSON; `holds` is told from value and bar where nothing else told it."""
        found = asdict(self)
        del found["higher"]
        if self.holds is None and self.bar is not None and self.value is not None:
            found["holds"] = self.value >= self.bar if self.higher else self.value <= self.bar
        return json.dumps(
            {key: round(x, 4) if isinstance(x, float) else x for key, x in found.items()}
        )


Bench = Callable[[], Iterator[Line]]


def print_lines(benches: Mapping[str, Bench], names: Sequence[str]) -> None:
    """Print the lines of the named benches, all by default, each as soon as it is known."""
    for name in names or benches:
        if name not in benches:
            sys.exit(f"no bench '{name}'; there are {', '.join(benches)}; choose among them")
        for line in benches[name]():
            sys.stdout.write(line.text() + "\n")
            sys.stdout.flush()
