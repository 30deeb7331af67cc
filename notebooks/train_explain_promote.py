# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train, explain, promote
#
# From a changed parameter to a promoted model in four commands, on a small simulated company.
# Nobody in it exists. `%run -m nextbest train` is `nextbest train` in a shell, without the seconds
# that a new Python takes to start.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np

from features.history import History
from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from serving.storage.store import Store
from training.homes import make_home
from training.online import bring_online
from training.simulator.company import CompanySize, simulate_company, write_company

home = Home(Path(tempfile.mkdtemp()) / "home")
make_home(home, About("A small company", "data_end", simulated=True))
company = simulate_company(np.random.default_rng(1), CompanySize(people=700, days=500))
ingest(write_company(company, home.path / "files", home.truth), None, home, IntakeRules("EUR"))
with Store.open(home.store) as store:
    customers = bring_online(History(home.signals), store)
os.environ["NEXTBEST_HOME"] = str(home.path)
print(customers, "customers")

# %% [markdown]
# ## The first command: a champion
#
# The first bundle of a home goes into service at once.

# %%
# %run -m nextbest train

# %%
with Store.open(home.store) as store:
    first = store.champion()

# %% [markdown]
# ## The second: a challenger
#
# Smaller trees. A later bundle waits beside the one that serves.

# %%
# %run -m nextbest train --set num_leaves=7

# %% [markdown]
# ## The third: which is better
#
# Both on the same later rows, which neither was trained on, with intervals over customers.

# %%
# %run -m nextbest evaluate

# %% [markdown]
# ## The fourth: into service
#
# Only if every gate says yes; so few customers cannot show that, so it is forced here, which stays
# on record. A running service follows within a call, without a restart.

# %%
# %run -m nextbest promote --force

# %%
with Store.open(home.store) as store:
    second = store.champion()
    someone = store.customer_ids()[200]
print(first[:12], "->", second[:12])

# %% [markdown]
# ## What it says of one customer
#
# Each sentence carries its points: together they are the distance from everybody's average to this
# customer's score.

# %%
# %run -m nextbest explain {someone}

# %% [markdown]
# ## What MLflow kept
#
# Every training is a run, with a run for each model in it. The aliases follow the store.
# `nextbest mlflow` shows the same in a browser, and the model card is a file of its own.

# %%
from training.registry import database, tracking_client  # noqa: E402

client = tracking_client(database(home))
for model in client.search_registered_models():
    for alias, number in sorted(model.aliases.items()):
        version = client.get_model_version(model.name, number)
        metrics = client.get_run(version.run_id).data.metrics
        low, high = metrics["test.log_loss.low"], metrics["test.log_loss.high"]
        loss = metrics["test.log_loss"]
        print(f"{model.name}@{alias}: log loss {loss:.3f} ({low:.3f} to {high:.3f})")

# %%
sorted(path.name for path in (home.reports / "bundles" / second).iterdir())

# %% [markdown]
# ## And back
#
# The bundle before serves again with the next call.

# %%
# %run -m nextbest rollback
