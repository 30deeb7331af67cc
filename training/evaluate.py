"""Champion against challenger of a home, on later snapshots that neither was trained on."""

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from models.bundle import Bundle
from models.bundle_files import load_bundle
from models.bundle_trial import try_in_child
from models.evaluation import DamagedEvaluation, NoEvaluation, load_evaluation, report_folder
from serving.storage.store import Store
from training.comparison import Comparison, compared
from training.narrator import Narrator


class UnknownBundle(LookupError):
    """A bundle was named that the home does not hold, or none waits."""


def named_bundle(home: Home, name: str | None) -> str:
    """sha256 of the bundle that a name, at least four letters of it, stands for.

    Parameters
    ----------
    name : str or None
        None: the challenger.

    Raises
    ------
    UnknownBundle
        If none or several begin so, or no challenger waits.
    """
    if name is None:
        with Store.open(home.store) as store:
            waiting = store.challenger()
        if waiting is None:
            raise UnknownBundle(
                f"{home.path}: no challenger waits; make one with `nextbest train`, "
                f"or name a bundle: {_listed(home)}"
            )
        return waiting
    wanted = name.removeprefix("sha256:")
    found = [sha for sha in _bundles(home) if sha.startswith(wanted)]
    if len(wanted) < 4 or not found:
        raise UnknownBundle(
            f"{home.path}: no bundle '{name}'; at least four letters of its name are needed; "
            f"there are {_listed(home)}"
        )
    if len(found) > 1:
        raise UnknownBundle(f"{home.path}: {len(found)} bundles begin with '{name}'; write more")
    return found[0]


def compare(home: Home, challenger: str, as_of: int, narrator: Narrator) -> Comparison:
    """The champion against another bundle, on what is known at `as_of`.

    Raises
    ------
    UnknownBundle
        If no champion serves, or it is the challenger itself.
    DamagedBundle
        If one of the two cannot be used.
    """
    with Store.open(home.store) as store:
        champion = store.champion()
    if champion is None:
        raise UnknownBundle(
            f"{home.path}: no bundle is in service to compare with; run `nextbest train`"
        )
    if champion == challenger:
        raise UnknownBundle(
            f"bundle {champion[:12]} is in service itself; name another: {_listed(home)}"
        )
    champions = load_bundle(home.bundles / champion, FEATURES)
    waiting = load_bundle(home.bundles / challenger, FEATURES, trial=try_in_child)
    with narrator.step("Reading the history"):
        log = History(home.signals).load(received_before=as_of)

    def unseen_from(bundle: Bundle, target: str) -> int:
        return _unseen_from(home, bundle, target)

    return compared(champions, waiting, log, as_of, unseen_from, narrator)


def _unseen_from(home: Home, bundle: Bundle, target: str) -> int:
    """The first moment from which on a bundle has seen no answer: where its own test began.

    Where that is not known, everything it may have seen is left out.
    """
    try:
        return load_evaluation(report_folder(home, bundle.sha256))[target].first_as_of
    except (NoEvaluation, DamagedEvaluation):
        return bundle.as_of


def _bundles(home: Home) -> list[str]:
    if not home.bundles.is_dir():
        return []
    return sorted(path.name for path in home.bundles.iterdir() if not path.name.startswith("."))


def _listed(home: Home) -> str:
    return ", ".join(sha[:12] for sha in _bundles(home)) or "none yet; run `nextbest train`"
