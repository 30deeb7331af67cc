"""The engine: all that decides, apart from the customer."""

from dataclasses import dataclass
from typing import Final

from features.algebra import FeatureSet
from features.stage import StageWindows
from models.at_risk import stage_windows
from models.bundle import Bundle
from models.reason_texts import ReasonTexts
from serving.catalog import Catalog
from serving.moments import sequence_days
from serving.policy import Policy, memory_days
from serving.prices import FREE, Prices
from serving.records import Versions

# Without a bundle there are no targets to take the windows from. Nobody is contacted then, and
# the stage is only shown; these are the windows of a shop for daily goods.
UNTRAINED_WINDOWS: Final = StageWindows(at_risk_days=56, churn_window_days=28)


@dataclass(frozen=True, slots=True)
class Engine:
    """A bundle, a catalog and a policy: what decides about any customer.

    Attributes
    ----------
    bundle : Bundle or None
        The models in service; None: nothing was trained yet, and every decision is a fallback.
    texts : ReasonTexts or None
        Sentences for the reasons; None: scores come without reasons.
    prices : Prices
        Of what is scarce in a batch; free in a single call.
    """

    bundle: Bundle | None
    catalog: Catalog
    policy: Policy
    texts: ReasonTexts | None
    features: FeatureSet
    prices: Prices = FREE

    @property
    def versions(self) -> Versions:
        """Hashes of what decides."""
        return Versions(
            bundle="" if self.bundle is None else f"sha256:{self.bundle.sha256}",
            catalog=self.catalog.sha256,
            policy=self.policy.sha256,
            fingerprint=self.features.fingerprint,
        )

    @property
    def stage_windows(self) -> StageWindows:
        """Lengths of silence that tell the stages apart, as the bundle's targets state them."""
        if self.bundle is None:
            return UNTRAINED_WINDOWS
        return stage_windows(self.bundle.targets)

    @property
    def memory_days(self) -> int:
        """How many days of contacts a decision looks back upon."""
        entries = self.catalog.communications.values()
        windows = (entry.window_days for entry in entries)
        steps = (sequence_days(entry, self.catalog) for entry in entries)
        return memory_days(self.policy, max((*windows, *steps), default=1))
