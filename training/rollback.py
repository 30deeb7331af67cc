"""Put the bundle that served before back into service: in a hurry, so nothing heavy is imported."""

from features.definitions import FEATURES
from features.home import Home
from models.bundle_files import load_bundle
from models.bundle_trial import try_in_child
from serving.storage.store import Store
from serving.storage.succession import ROLLED_BACK


class NothingBefore(LookupError):
    """No bundle served before the present one."""


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
