"""The guarded parameters of LightGBM that a data scientist may change, with their ranges."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Final

import numpy as np

from training.forest import BoosterSettings

# Name, least, most. Beyond them a model gives too much away about single customers (large
# trees, small leaves), or training takes minutes for nothing.
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "rounds": (10, 2000),
    "learning_rate": (0.005, 0.5),
    "num_leaves": (2, 63),
    "most_in_leaf": (20, 10_000),
    "lambda_l2": (0.0, 1000.0),
    "feature_fraction": (0.1, 1.0),
    "max_bin": (15, 255),
    "folds": (2, 10),
}
# What LightGBM calls them.
ALIASES: Final[Mapping[str, str]] = {
    "min_data_in_leaf": "most_in_leaf",
    "n_estimators": "rounds",
    "num_iterations": "rounds",
    "num_boost_round": "rounds",
    "reg_lambda": "lambda_l2",
    "colsample_bytree": "feature_fraction",
}


LARGEST_SEED: Final = 2**31 - 1  # an int32 is all that LightGBM keeps of it


class InvalidParameter(ValueError):
    """A parameter that does not exist, or a value that it may not have."""


def changed_settings(booster: BoosterSettings, assignments: Sequence[str]) -> BoosterSettings:
    """The settings with assignments such as ``num_leaves=31`` carried out, in their order.

    Raises
    ------
    InvalidParameter
        If one is no assignment, names no guarded parameter, or leaves its range.
    """
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().removeprefix("lgbm.")
        if not equals:
            raise InvalidParameter(
                f"--set {assignment}: no value; must be NAME=NUMBER, such as num_leaves=31"
            )
        _require_known(name)
        values = asdict(booster) | {name: _value(name, text.strip())}
        booster = BoosterSettings(**values)
    return booster


def changes(booster: BoosterSettings) -> dict[str, float]:
    """Parameters that differ from their defaults."""
    usual = asdict(BoosterSettings())
    return {name: value for name, value in asdict(booster).items() if value != usual[name]}


def _require_known(name: str) -> None:
    if name in RANGES:
        return
    known = ALIASES.get(name, "")
    near = [known] if known else get_close_matches(name, RANGES, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"parameters are {', '.join(RANGES)}"
    raise InvalidParameter(f"--set {name}: no such parameter; {hint}")


def _value(name: str, text: str) -> float:
    """The number, whole where the parameter is."""
    whole = _whole(name)
    try:
        value: float = int(text) if whole else float(text)
    except ValueError as error:
        raise InvalidParameter(f"--set {name}={text}: {_allowed(name)}; correct it") from error
    require_guarded(f"--set {name}={text}", name, value)
    return value


def require_guarded(where: str, name: str, value: object) -> None:
    """That a parameter has a value within its range, whole where the parameter is.

    Raises
    ------
    InvalidParameter
        If not; `where` begins its words.
    """
    low, high = RANGES[name]
    kinds = (int, np.integer) if _whole(name) else (int, float, np.integer, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidParameter(f"{where}: {_allowed(name)}; choose one in there")


def require_seed(seed: int) -> None:
    """That a seed is one which every generator takes as it is.

    Raises
    ------
    InvalidParameter
        If not.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise InvalidParameter(
            f"seed {seed}: must be a whole number from 0 to {LARGEST_SEED}; choose one in there"
        )


def _whole(name: str) -> bool:
    return isinstance(getattr(BoosterSettings(), name), int)


def _allowed(name: str) -> str:
    low, high = RANGES[name]
    return f"must be {'a whole' if _whole(name) else 'a'} number from {low:g} to {high:g}"
