"""The engine's own arbitration, asked about many customers of an experiment."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.definitions import FEATURES
from models.effects import EffectModels
from models.expectation import Expectation
from serving.arbitration import ranked
from serving.catalog import SHIPPED, load_catalog
from serving.communication import Communication, Prior
from serving.fatigue import FRESH
from serving.policy import Policy
from serving.records import NO_CONTACT

FloatArray = NDArray[np.float64]
Int64Array = NDArray[np.int64]

NOBODY_STATED: Final = Prior(
    share=0.0, share_sd=0.0, of=("1",), opt_out=0.0, weight=1.0, source="none", reviewed=True
)
UNKNOWN: Final = Expectation(scores={}, usual_margin=0.0)


def _free_mail() -> Communication:
    """A mail that costs nothing, and of which nobody states anything."""
    newsletter = load_catalog(SHIPPED, FEATURES.names).communications["newsletter"]
    return replace(newsletter, cost=0.0, prior=NOBODY_STATED)


FREE_MAIL: Final = _free_mail()


def best_for_each(models: EffectModels, state: FloatArray, policy: Policy) -> Int64Array:
    """Place of the best among no contact and the communications of `models`, shape (n,)."""
    entries = [replace(FREE_MAIL, name=name) for name in models.names]
    places = {NO_CONTACT: 0} | {name: 1 + place for place, name in enumerate(models.names)}
    # Customers alike in all that effects look at are decided about once.
    kinds, kind = np.unique(state, axis=0, return_inverse=True)
    chosen = [
        places[ranked(entries, UNKNOWN, FRESH, policy, models.on(one, "active"))[0].communication]
        for one in kinds
    ]
    return np.array(chosen, dtype=np.int64)[kind.ravel()]
