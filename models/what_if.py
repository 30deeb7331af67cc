"""What-if: what the models would say of a customer who differed in what we can change.

It says what the models have seen in such customers, and never what would happen if somebody
changed them. Only features that a communication can change, none that is sensitive, and only
values that occurred in training; what they imply changes with them (`models.consequences`).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import Feature, FeatureSet
from features.relations import Relations, relations
from models.bands import band
from models.bundle import Bundle
from models.consequences import Impossible, consequences

FloatArray = NDArray[np.float64]

MOST_TRIED: Final = 40  # values of one feature: all whole numbers of usual counts
MOST_TRIED_IN_PAIRS: Final = 8  # of each of two features: 64 rows a pair, some thousands in all
HALVINGS: Final = 12  # towards the nearest value that suffices: a 4,000th of a tried step


class CannotChange(ValueError):
    """A change that may not be asked for.

    Attributes
    ----------
    feature : str
    code : str
        ``unknown``, ``not_actionable``, ``follows``, ``no_value``, ``out_of_range``,
        ``not_whole`` or ``impossible``.
    """

    def __init__(self, feature: str, code: str, why: str) -> None:
        super().__init__(why)
        self.feature, self.code = feature, code


@dataclass(frozen=True, slots=True)
class Lever:
    """A feature that may be changed for a customer, and between which values.

    `spread` is one standardised step; `whole` says that only whole numbers make sense.
    """

    feature: Feature
    value: float
    low: float
    high: float
    spread: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Move:
    """One feature before and after; `asked` is false for what only follows. NaN: no value."""

    feature: Feature
    before: float
    after: float
    asked: bool


@dataclass(frozen=True, slots=True)
class NearestChange:
    """The smallest change that moves a score into another band.

    Attributes
    ----------
    steps : float
        Sum over the features asked for of ``|after - before| / spread``.
    """

    score: str
    value: float
    band: str
    moves: tuple[Move, ...]
    steps: float


@dataclass(frozen=True, slots=True)
class Ground:
    """What a what-if stands on: one customer's row, and who judges it."""

    row: FloatArray
    bundle: Bundle
    features: FeatureSet

    @property
    def values(self) -> dict[str, float]:
        """The row by name."""
        return dict(zip(self.features.names, self.row.tolist(), strict=True))


def levers(ground: Ground) -> tuple[Lever, ...]:
    """What may be changed for this customer, in the order of the feature set."""
    known, values = relations(ground.features), ground.values
    return tuple(
        lever
        for place, feature in enumerate(ground.features.features)
        if (lever := _lever(feature, values[feature.name], place, ground, known))
    )


def changed_row(
    ground: Ground, changes: Mapping[str, float]
) -> tuple[FloatArray, tuple[Move, ...]]:
    """The row with the changes and all that follows from them, and what changed.

    Raises
    ------
    CannotChange
        If a feature may not be changed, or not to this value, or not together with the others.
    """
    known = relations(ground.features)
    by_name = {lever.feature.name: lever for lever in levers(ground)}
    for name, value in changes.items():
        if name not in by_name:
            raise _not_a_lever(name, ground, tuple(by_name), known)
        _require_value(by_name[name], value)
    return _moved(ground, changes, known)


def nearest_changes(ground: Ground, scores: Iterable[str]) -> dict[str, NearestChange | None]:
    """For each score the smallest change that moves it into another band; None if none was found.

    First every lever alone, over all its values; only where none of them suffices, every two of
    them on a coarser grid. Ties go to the earlier feature. What is found does move the score;
    between the values tried a smaller change may be hidden.

    Parameters
    ----------
    scores : iterable of str
        Names of scores of which the bundle has a model.
    """
    found: dict[str, NearestChange | None] = dict.fromkeys(scores)
    for size, most in ((1, MOST_TRIED), (2, MOST_TRIED_IN_PAIRS)):
        missing = [score for score, nearest in found.items() if nearest is None]
        if missing:
            tried = _tried(ground, size, most)
            for score in missing:
                best = tried.nearest(score)
                if best is not None:
                    found[score] = _halved(ground, score, best)
    return found


# ---- Levers ------------------------------------------------------------------------------


def _lever(
    feature: Feature, value: float, place: int, ground: Ground, known: Relations
) -> Lever | None:
    ranges = ground.bundle.ranges
    if not _may_change(feature, known) or math.isnan(value) or not ranges.low:
        return None
    low, high, spread = ranges.low[place], ranges.high[place], ranges.spread[place]
    if low is None or high is None or not spread:
        return None
    for bound in known.bounds:
        if bound.small == feature.name:
            high = min(high, ground.values[bound.large])
    if high < low:
        return None
    return Lever(feature, value, low, high, spread, feature.name in known.whole_numbers)


def _may_change(feature: Feature, known: Relations) -> bool:
    follows = {fading.fading for fading in known.fadings}
    return feature.actionable and not feature.sensitive and feature.name not in follows


def _not_a_lever(
    name: str, ground: Ground, allowed: Sequence[str], known: Relations
) -> CannotChange:
    instead = f"allowed are {', '.join(allowed) or 'none for this customer'}"
    feature = {each.name: each for each in ground.features.features}.get(name)
    if feature is None:
        return CannotChange(name, "unknown", f"no feature of this name; {instead}")
    if not feature.actionable or feature.sensitive:
        return CannotChange(name, "not_actionable", f"no communication changes it; {instead}")
    if not _may_change(feature, known):
        return CannotChange(name, "follows", f"it follows from other features; {instead}")
    return CannotChange(
        name, "no_value", f"this customer, or the training, has too few values of it; {instead}"
    )


def _require_value(lever: Lever, value: float) -> None:
    name = lever.feature.name
    if not lever.low <= value <= lever.high:
        raise CannotChange(
            name,
            "out_of_range",
            f"{value:g} is outside of what was seen; allowed is {lever.low:g} to {lever.high:g}",
        )
    if lever.whole and value != round(value):
        raise CannotChange(
            name, "not_whole", f"{value:g} is no whole number; it counts, so give a whole one"
        )


# ---- Rows --------------------------------------------------------------------------------


def _moved(
    ground: Ground, changes: Mapping[str, float], known: Relations
) -> tuple[FloatArray, tuple[Move, ...]]:
    values = ground.values
    try:
        after = consequences(values, changes, known)
    except Impossible as error:
        raise CannotChange(next(iter(changes)), "impossible", str(error)) from error
    row, moves = ground.row.copy(), []
    for place, feature in enumerate(ground.features.features):
        name = feature.name
        if name in after:
            row[place] = after[name]
            moves.append(Move(feature, values[name], after[name], name in changes))
            if name not in changes:
                _require_seen(moves[-1], place, ground, changes)
    return row, tuple(moves)


def _require_seen(move: Move, place: int, ground: Ground, changes: Mapping[str, float]) -> None:
    """What follows must have been seen as well, or at least lead back towards it."""
    low, high = ground.bundle.ranges.low[place], ground.bundle.ranges.high[place]
    if math.isnan(move.after) or low is None or high is None:
        return
    lowest = low if math.isnan(move.before) else min(low, move.before)
    highest = high if math.isnan(move.before) else max(high, move.before)
    if not lowest <= move.after <= highest:
        raise CannotChange(
            next(iter(changes)),
            "impossible",
            f"{move.feature.name} would have to become {move.after:g}; from {low:g} to {high:g} "
            "was seen; ask for less",
        )


# ---- The smallest change -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tried:
    """Changes that are possible, the smallest first, and the rows they make."""

    ground: Ground
    changes: tuple[Mapping[str, float], ...]
    rows: FloatArray

    def nearest(self, score: str) -> Mapping[str, float] | None:
        """The first change that moves a score into another band."""
        model, rate = self.ground.bundle.classifiers[score], self.ground.bundle.base_rates[score]
        values = model.predict(np.vstack((self.ground.row, self.rows)))
        now = band(float(values[0]), rate)
        moving = (band(float(value), rate) != now for value in values[1:])
        return next((each for each, moves in zip(self.changes, moving, strict=True) if moves), None)


def _tried(ground: Ground, size: int, most: int) -> _Tried:
    """Every `size` levers with every combination of their values."""
    found, known = levers(ground), relations(ground.features)
    changes = [
        dict(zip((lever.feature.name for lever in chosen), values, strict=True))
        for chosen in combinations(found, size)
        for values in product(*(_tried_values(lever, most) for lever in chosen))
    ]
    changes.sort(key=lambda each: _steps(each, found))  # stable: of equals the earlier feature
    return _made(ground, changes, known)


def _made(ground: Ground, wanted: Iterable[Mapping[str, float]], known: Relations) -> _Tried:
    """Those of the changes that are possible."""
    possible, rows = [], [np.empty((0, len(ground.row)))]
    for changes in wanted:
        with suppress(CannotChange):
            rows.append(_moved(ground, changes, known)[0][np.newaxis])
            possible.append(changes)
    return _Tried(ground, tuple(possible), np.vstack(rows))


def _tried_values(lever: Lever, most: int) -> Iterator[float]:
    values = np.linspace(lever.low, lever.high, most + 1)
    if lever.whole:
        low, high = math.ceil(lever.low), math.floor(lever.high)
        values = np.unique(np.round(np.linspace(low, high, min(most, high - low) + 1)))
    yield from (float(value) for value in values if value != lever.value)


def _steps(changes: Mapping[str, float], found: Sequence[Lever]) -> float:
    """Size of a change: standardised steps, summed over the features asked for."""
    by_name = {lever.feature.name: lever for lever in found}
    return sum(
        abs(value - by_name[name].value) / by_name[name].spread for name, value in changes.items()
    )


def _halved(ground: Ground, score: str, changes: Mapping[str, float]) -> NearestChange:
    """The same features changed as little as suffices, and what comes of it."""
    best, known, found = dict(changes), relations(ground.features), levers(ground)
    for lever in found:
        name = lever.feature.name
        if name not in best:
            continue
        enough, short = best[name], lever.value
        for _ in range(HALVINGS):
            middle = (enough + short) / 2
            if lever.whole:
                middle = float(math.floor(middle) if enough < short else math.ceil(middle))
                if middle in (enough, short):
                    break
            if _made(ground, [{**best, name: middle}], known).nearest(score) is None:
                short = middle
            else:
                enough = best[name] = middle
    row, moves = _moved(ground, best, known)
    value = float(ground.bundle.classifiers[score].predict(row[np.newaxis])[0])
    word = band(value, ground.bundle.base_rates[score])
    return NearestChange(score, value, word, moves, _steps(best, found))
