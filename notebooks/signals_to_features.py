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
# # From signals to features
#
# A signal is one fact about one customer: an order, a mail that was opened, a ticket. A feature is
# a number about a customer *at a moment*, computed from signals that were known then. This page
# walks from one to the other on a small simulated company. Nobody in it exists.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import DAY
from training.homes import make_home
from training.simulator.company import CompanySize, simulate_company, write_company

home = Home(Path(tempfile.mkdtemp()) / "home")
make_home(home, About("A small company", "data_end", simulated=True))
company = simulate_company(np.random.default_rng(1), CompanySize(people=120, days=400))
files = write_company(company, home.path / "files", home.truth)

# %% [markdown]
# ## Signals as files
#
# Any CSV, Parquet or NDJSON will do. These have the canonical columns already; for others
# `nextbest init` drafts a mapping.

# %%
orders = pd.read_parquet(next(path for path in files if "orders" in path.name))
orders.head(3)

# %% [markdown]
# ## Taken in
#
# Bad rows go to quarantine with their reasons, and taking the same file in twice changes nothing.

# %%
for attempt in ("first", "second"):
    report = ingest(files, None, home, IntakeRules("EUR"))
    print(attempt, "-", report.lines()[0])

# %%
history = History(home.signals)
log = history.load()
pd.Series(history.events()).sort_values(ascending=False).head(8)

# %% [markdown]
# ## Features
#
# Each feature is declared once, in `features/groups/`, and the same kernel computes it for
# a whole table and for one customer of a running service.

# %%
pd.DataFrame(
    [(each.name, each.label, each.unit, each.group) for each in FEATURES.features],
    columns=["name", "label", "unit", "group"],
).groupby("group").head(2)

# %% [markdown]
# A row is a customer at a moment. The same customer at two moments is two rows.

# %%
now = history.data_end()
buyer = int(np.argmax(np.diff(log.starts)))
moments = np.array([now - 60 * DAY, now], dtype=np.int64)
rows = feature_matrix(FEATURES, log, np.array([buyer, buyer], dtype=np.int64), moments)
pd.DataFrame(rows.T, index=FEATURES.names, columns=["60 days ago", "now"]).dropna().head(12)

# %% [markdown]
# ## Nothing from the future
#
# What was known 60 days ago does not change because of what came later: the log as it was then
# gives the same bits.

# %%
then = history.load(received_before=now - 60 * DAY)
same_buyer = then.customer_ids.index(log.customer_ids[buyer])
as_it_was = feature_matrix(FEATURES, then, np.array([same_buyer], dtype=np.int64), moments[:1])
assert as_it_was.tobytes() == rows[:1].tobytes()
print("the same bits")
