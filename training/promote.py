"""Put another bundle into service, or the one before back."""

from dataclasses import dataclass

from features.definitions import FEATURES
from features.home import Home
from models.bundle_files import load_bundle
from models.bundle_trial import try_in_child
from serving.store import Store
from serving.succession import FORCED, PROMOTED, ROLLED_BACK
from training.comparison import Comparison
from training.evaluate import compare
from training.narrator import Narrator


class NothingBefore(LookupError):
    """No bundle served before the present one."""


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


def roll_back(home: Home) -> tuple[str, str]:
    """Put the bundle that served before back into service.

    Returns
    -------
    (str, str)
        sha256 of the champion before and after.

    Raises
    ------
    NothingBefore
        If none served before.
    DamagedBundle
        If it cannot serve any more.
    """
    with Store.open(home.store) as store:
        champion, previous = store.champion(), store.previous_champion()
        if champion is None or previous is None:
            now = "no bundle is in service" if champion is None else f"{champion[:12]} is the first"
            raise NothingBefore(
                f"{home.path}: nothing to roll back to, {now}; "
                "put another into service with `nextbest promote BUNDLE`"
            )
        load_bundle(home.bundles / previous, FEATURES, trial=try_in_child)
        store.set_champion(previous, ROLLED_BACK)
    return champion, previous
