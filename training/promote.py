"""Put another bundle into service; `training.rollback` puts the one before back."""

from dataclasses import dataclass

from features.home import Home
from serving.storage.store import Store
from serving.storage.succession import FORCED, PROMOTED
from training.comparison import Comparison
from training.evaluate import compare
from training.narrator import Narrator


@dataclass(frozen=True, slots=True)
class Promotion:
    """What came of asking for a promotion.

    Attributes
    ----------
    before, after : str
        sha256 of the champion; equal if a gate said no.
    forced : bool
        Whether it was promoted although a gate said no.
    """

    comparison: Comparison
    before: str
    after: str
    forced: bool

    @property
    def promoted(self) -> bool:
        """Whether the challenger is in service now."""
        return self.after == self.comparison.challenger


def promote(home: Home, challenger: str, as_of: int, force: bool, narrator: Narrator) -> Promotion:
    """Compare a bundle with the champion and put it into service if every gate says yes.

    Parameters
    ----------
    force : bool
        Put it into service all the same; the history then says that it was forced.

    Raises
    ------
    UnknownBundle
        If no champion serves, or the bundle is the champion.
    DamagedBundle
        If one of the two cannot be used; that cannot be forced.
    """
    comparison = compare(home, challenger, as_of, narrator)
    forced = force and not comparison.passed
    after = comparison.champion
    if comparison.passed or force:
        with Store.open(home.store) as store:
            store.set_champion(challenger, FORCED if forced else PROMOTED)
        after = challenger
    return Promotion(comparison, comparison.champion, after, forced)
