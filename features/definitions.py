"""Every feature, declared once: the data dictionary of the project.

Each stands in the file of its group, below `features.groups`; here is the one list of them.

A window of ``w`` days is ``[as_of - w, as_of)``. Counts and sums are 0 where there is nothing;
days, rates and averages are NaN. Directions are stated only where everybody expects them, all
else equal: whoever ordered yesterday may be *less* likely to order again this week.
"""

from typing import Final

from features.algebra import FeatureSet
from features.groups.bonds import LOYALTY, SUBSCRIPTION, TENURE
from features.groups.messages import EMAIL, PRESSURE
from features.groups.orders import FREQUENCY, RECENCY, SPEND
from features.groups.service import FEEDBACK, SUPPORT
from features.groups.visits import APP, WEB

FEATURES: Final = FeatureSet(
    (
        *RECENCY,
        *FREQUENCY,
        *SPEND,
        *WEB,
        *EMAIL,
        *APP,
        *SUPPORT,
        *FEEDBACK,
        *LOYALTY,
        *SUBSCRIPTION,
        *PRESSURE,
        *TENURE,
    )
)
