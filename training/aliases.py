"""MLflow's aliases follow the store, whose champion row is the truth about what serves."""

from features.home import Home
from serving.store import Store
from training import registry


def follow_store(home: Home) -> list[str]:
    """Let MLflow's aliases follow the store; what changed, in words. Nothing without MLflow."""
    if not registry.database(home).exists():
        return []
    with Store.open(home.store) as store:
        champion, challenger = store.champion(), store.challenger()
    return registry.follow(home, champion, challenger)
