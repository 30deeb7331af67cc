"""MLflow's aliases follow the store, whose champion row is the truth about what serves."""

from features.home import Home
from serving.storage.store import Store
from training import registry


def follow_store(home: Home) -> list[str]:
    """Let MLflow's aliases follow the store; what changed, in words. Nothing without MLflow.

    Raises
    ------
    registry.TrackingFailed
        If MLflow's database cannot be used.
    """
    if not registry.database(home).exists():
        return []
    with Store.open(home.store) as store:
        champion, challenger = store.champion(), store.challenger()
    return registry.follow(home, champion, challenger)


def left_behind(home: Home) -> list[str]:
    """Let MLflow's aliases follow the store; if it cannot, one sentence on why.

    For whoever has changed what serves already: that does not hang on MLflow.
    """
    try:
        follow_store(home)
    except registry.TrackingFailed as error:
        return [f"MLflow did not follow: {error}"]
    return []
