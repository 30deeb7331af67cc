"""Train in a home again and again, each time killed at another write; say what is left.

    python killed_trainings.py HOME KILLS

A child trains with another seed and ends itself by SIGKILL at the k-th file that it would open
for writing, make, move or remove. After each kill a line of JSON tells the state of the home;
the last line is that of a training nobody killed. All imports happen once, before forking.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import matplotlib.pyplot
import mlflow.lightgbm
import numpy as np
import pandas as pd

from features.history import History
from features.home import Home
from serving.storage.store import Store
from training.forest import BoosterSettings
from training.leftovers import PART
from training.narrator import Narrator
from training.publish import publish
from training.registry import database, tracking_client
from training.retrain import Recipe, can_serve, retrain

NEEDED_LATER = (matplotlib.pyplot, mlflow.lightgbm, pd)  # imported once for all children
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.move"}


def train(home: Home, seed: int) -> None:
    quiet = Narrator(quiet=True)
    recipe = Recipe(seed=seed, booster=BoosterSettings(rounds=10))
    publish(home, retrain(home, History(home.signals).data_end(), recipe, quiet), quiet)


def count_writes(home: Home, last: int) -> list[int]:
    """Count writes below the home from now on; the `last` is never done."""
    counted, below = [0], str(home.path)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if (opened or event in CHANGES) and str(arguments[0]).startswith(below):
            counted[0] += 1
            if counted[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return counted


def in_child(home: Home, seed: int, last: int) -> tuple[int, int]:
    """Signal that ended the child, 0 for none; and its number of writes if it lived."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            counted = count_writes(home, last)
            train(home, seed)
            os.write(writing, str(counted[0]).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(f"the training failed with exit code {os.WEXITSTATUS(status)}")
    return os.WTERMSIG(status), int(said or 0)


def state(home: Home, killed_by: int) -> dict[str, object]:
    with Store.open(home.store) as store:
        champion, challenger = str(store.champion()), store.challenger()
    parts = [*home.bundles.glob(PART), *(home.reports / "bundles").glob(f"*/{PART}")]
    return {
        "killed_by": killed_by,
        "champion": champion,
        "champion_serves": can_serve(home, champion),
        "challenger": challenger,
        "challenger_serves": challenger is None or can_serve(home, challenger),
        "parts": len(parts),
    }


def runs(home: Home) -> list[str]:
    """Status of every run in MLflow."""
    client = tracking_client(database(home))
    experiments = [each.experiment_id for each in client.search_experiments()]
    return sorted(run.info.status for run in client.search_runs(experiments))


def main(path: str, kills: int) -> None:
    home = Home(Path(path))
    _, writes = in_child(home, 1, 0)  # the champion
    said = [state(home, 0) | {"writes": writes}]
    # Another seed may need some writes fewer, if simpler models serve.
    for number, last in enumerate(np.linspace(1, 0.9 * writes, kills).astype(int)):
        killed_by, _ = in_child(home, 2 + number, int(last))
        said.append(state(home, killed_by) | {"at": int(last)})
    killed_by, _ = in_child(home, 2 + kills, 0)
    said.append(state(home, killed_by) | {"runs": runs(home)})
    sys.stdout.write("\n".join(map(json.dumps, said)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
