"""Pictures drawn on the server: SVG without scripts and without styles of its own.

Colors come from classes of the style sheet, so a picture follows light and dark. All text is
escaped by markupsafe. Under every picture the page shows the same numbers as a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from markupsafe import Markup

ROW = 34  # pixels from one bar to the next
LETTERS = 34  # what fits beside a bar


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a waterfall, in percentage points: from `start` to `end`."""

    label: str
    start: float
    end: float
    kind: str  # "total", "raises" or "lowers"

    @property
    def points(self) -> float:
        """How far it goes."""
        return self.end - self.start


def waterfall(score: str, start: float, points: Sequence[tuple[str, float]]) -> tuple[Step, ...]:
    """The way from a starting point to a score.

    Parameters
    ----------
    score : str
        What the last step is called.
    start : float
        Percent; the points are added to it one after the other.
    """
    steps, reached = [Step("Starting point", 0.0, start, "total")], start
    for label, step in points:
        kind = "raises" if step >= 0 else "lowers"
        steps.append(Step(label, reached, reached + step, kind))
        reached += step
    return (*steps, Step(score, 0.0, reached, "total"))


def drawn_waterfall(steps: Sequence[Step], title: str) -> Markup:
    """A waterfall, one row a step, from the starting point down to the score."""
    width, left, right = 520, 132, 66
    most = max(10.0, *(max(step.start, step.end) for step in steps))
    most = min(100.0, 10 * ceil(most / 10))
    scale = (width - left - right) / most
    height = ROW * len(steps) + 8
    parts = []
    for row, step in enumerate(steps):
        top, low = ROW * row + 7, min(step.start, step.end)
        x, long = left + low * scale, max(1.5, abs(step.points) * scale)
        parts.append(
            Markup('<text x="{}" y="{:.0f}" text-anchor="end" class="label">{}</text>').format(
                left - 12, top + 15, step.label
            )
        )
        parts.append(
            Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="20" rx="3" class="{}"/>').format(
                x, top, long, step.kind
            )
        )
        said = f"{step.end:.1f} %" if step.kind == "total" else signed(step.points)
        parts.append(
            Markup('<text x="{:.1f}" y="{:.0f}" class="value {}">{}</text>').format(
                x + long + 8, top + 15, step.kind, said
            )
        )
        if row + 1 < len(steps):
            parts.append(
                Markup('<line x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}" class="joint"/>').format(
                    left + step.end * scale, top + 20, top + ROW
                )
            )
    return _svg(width, height, title, parts)


def drawn_shares(bars: Sequence[tuple[str, float]], title: str, unit: str = "") -> Markup:
    """Horizontal bars with their numbers, the longest as wide as there is room."""
    width, left, right = 520, 240, 60
    most = max((value for _, value in bars), default=0.0) or 1.0
    parts = []
    for row, (label, value) in enumerate(bars):
        top, long = 28 * row + 5, max(1.5, (width - left - right) * value / most)
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end" class="label">{}</text>').format(
                left - 12, top + 13, shortened(label)
            )
        )
        parts.append(
            Markup('<rect x="{}" y="{}" width="{:.1f}" height="17" rx="3" class="bar"/>').format(
                left, top, long
            )
        )
        parts.append(
            Markup('<text x="{:.1f}" y="{}" class="value">{:,.0f}{}</text>').format(
                left + long + 8, top + 13, value, unit
            )
        )
    return _svg(width, 28 * len(bars) + 8, title, parts)


def drawn_calibration(points: Sequence[tuple[float, float, int]], title: str) -> Markup:
    """What was said against what came, a dot per bin; on the line, both agree.

    Parameters
    ----------
    points : sequence of (mean predicted, observed, rows)
        Both shares from 0 to 1.
    """
    side, left, top = 300, 68, 12
    most = rounded_up(max((max(said, came) for said, came, _ in points), default=1.0))
    parts = [*_grid(side, left, top, most)]
    parts.append(
        Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="ideal"/>').format(
            left, top + side, left + side, top
        )
    )
    spots = [
        (left + side * said / most, top + side * (1 - came / most)) for said, came, _ in points
    ]
    if len(spots) > 1:
        parts.append(
            Markup('<polyline points="{}" class="curve"/>').format(
                " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
            )
        )
    parts += [
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" class="dot"/>').format(*s) for s in spots
    ]
    parts.append(_caption(left + side / 2, top + side + 38, "said by the model"))
    parts.append(
        Markup(
            '<text x="14" y="{0}" transform="rotate(-90 14 {0})" text-anchor="middle" '
            'class="label">came true</text>'
        ).format(top + side / 2)
    )
    return _svg(left + side + 16, top + side + 46, title, parts)


def drawn_lift(tenths: Sequence[tuple[int, float]], base: float, title: str) -> Markup:
    """How often the answer was yes in each tenth of the scores, beside the share of all.

    Parameters
    ----------
    tenths : sequence of (tenth, share observed)
        Tenth 1 holds the highest scores.
    base : float
        Share of yes in all rows.
    """
    side, left, top = 300, 52, 12
    most = rounded_up(max([base, *(share for _, share in tenths)]))
    parts = [*_levels(side, left, top, most)]
    step = side / max(1, len(tenths))
    for place, (tenth, share) in enumerate(tenths):
        high = max(1.0, side * share / most)
        x = left + place * step
        parts.append(
            Markup(
                '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" class="bar"/>'
            ).format(x + 3, top + side - high, step - 6, high)
        )
        parts.append(_caption(x + step / 2, top + side + 16, str(tenth)))
    level = top + side * (1 - base / most)
    parts.append(
        Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" class="ideal"/>').format(
            left, left + side, level, level
        )
    )
    parts.append(_caption(left + side / 2, top + side + 38, "tenth of the scores, highest first"))
    return _svg(left + side + 16, top + side + 46, title, parts)


def rounded_up(share: float) -> float:
    """The end of an axis that is read easily in four steps: 20, 40, 60, 80 or 100 %."""
    return max(1, ceil(5 * min(1.0, share) - 1e-9)) / 5


def shortened(label: str) -> str:
    """A label that fits beside its bar; the table below the picture has it whole."""
    return label if len(label) <= LETTERS else label[: LETTERS - 1].rstrip() + "…"


def signed(points: float) -> str:
    """Points with an arrow, so that direction does not hang on color."""
    return f"▲ {points:.1f}" if points >= 0 else f"▼ {-points:.1f}"


def _levels(side: int, left: int, top: int, most: float) -> list[Markup]:
    lines = []
    for part in range(5):
        y = top + side * (1 - part / 4)
        lines.append(
            Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" class="grid"/>').format(
                left, left + side, y, y
            )
        )
        lines.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end" class="tick">{:.0f} %</text>').format(
                left - 8, y + 4, 100 * most * part / 4
            )
        )
    return lines


def _grid(side: int, left: int, top: int, most: float) -> list[Markup]:
    across = [
        _caption(left + side * part / 4, top + side + 16, f"{100 * most * part / 4:.0f} %")
        for part in range(5)
    ]
    return _levels(side, left, top, most) + across


def _caption(x: float, y: float, text: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="tick">{}</text>').format(
        x, y, text
    )


def _svg(width: float, height: float, title: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}" '
        'xmlns="http://www.w3.org/2000/svg">{}</svg>'
    ).format(width, height, title, Markup("").join(parts))
