"""A logistic regression in JSON."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from models.model import DamagedModel, FloatArray


@dataclass(frozen=True, slots=True)
class Logistic:
    """Logistic regression on standardised ``sign(x) log(1 + |x|)``, each of shape (n_features,).

    A missing value counts as the mean and adds `missing` instead; `center` is the share of
    missing values in training, so that a typical row has log-odds `intercept`.
    """

    kind: ClassVar[str] = "logistic"

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficient: tuple[float, ...]
    missing: tuple[float, ...]
    center: tuple[float, ...]
    intercept: float

    def __post_init__(self) -> None:
        parts = (self.mean, self.scale, self.coefficient, self.missing, self.center)
        lengths = [len(part) for part in parts]
        if len(set(lengths)) != 1:
            raise DamagedModel(
                f"a logistic regression with {lengths} numbers; must have one of each a feature"
            )
        if not all(scale > 0 for scale in self.scale):
            raise DamagedModel(f"a logistic regression with scale {min(self.scale):g}; must be > 0")

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """See `models.model.Model`."""
        parts = np.zeros((len(rows), len(names) + 1))
        standard = (compressed(rows) - np.asarray(self.mean)) / np.asarray(self.scale)
        absent = np.isnan(rows)
        parts[:, :-1] = np.where(absent, 0.0, standard) * np.asarray(self.coefficient)
        parts[:, :-1] += (absent - np.asarray(self.center)) * np.asarray(self.missing)
        parts[:, -1] = self.intercept
        return parts


def compressed(rows: FloatArray) -> FloatArray:
    """``sign(x) log(1 + |x|)``: tames the long tails of counts and money, keeps the sign."""
    return np.sign(rows) * np.log1p(np.abs(rows))
