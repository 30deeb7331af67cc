"""A boosted forest, in LightGBM's own text."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.model import FloatArray
from models.tree_sums import leaf_sums

if TYPE_CHECKING:
    from lightgbm import Booster


@dataclass(frozen=True, slots=True)
class Forest:
    """Boosted trees as LightGBM's own text; its contributions are Shapley values.

    Source: Lundberg and others (2020), "From local explanations to global understanding with
    explainable AI for trees".
    """

    kind: ClassVar[str] = "lightgbm"

    text: str

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """See `models.model.Model`."""
        found = _booster(self.text).predict(rows, pred_contrib=True, num_threads=1)
        return np.array(found, dtype=np.float64)

    def raw_log_odds(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Sum of the leaves, some hundred times faster than the contributions; shape (n,)."""
        return leaf_sums(self.text, rows)


# A service holds one bundle, or two for the moment in which one takes over from the other.
@lru_cache(maxsize=16)
def _booster(text: str) -> "Booster":
    # lightgbm takes a second to import where pandas is installed: only when it is needed.
    from lightgbm import Booster

    return Booster(model_str=text)
