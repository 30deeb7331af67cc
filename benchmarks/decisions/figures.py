"""One line of the bench: a figure beside its bar."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that was measured; `higher` says which side of the bar is good.

    Attributes
    ----------
    bar : float or None
        None: printed, with nothing to reach.
    low, high : float or None
        Interval of the value.
    """

    bench: str
    figure: str
    value: float
    bar: float | None = None
    higher: bool = True
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar is reached; None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.higher else self.value <= self.bar

    def text(self) -> str:
        """The line as JSON."""
        found = asdict(self) | {"holds": self.holds}
        del found["higher"]
        return json.dumps(
            {key: round(x, 4) if isinstance(x, float) else x for key, x in found.items()}
        )
