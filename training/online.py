"""Between the history and the service: signals out to the store, and in from it."""

import tempfile
from pathlib import Path

from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.intake.report import IntakeReport
from serving.storage.store import Store

OVER_HTTP = "received-over-http.ndjson"  # the name under which reports speak of them


def bring_online(history: History, store: Store) -> int:
    """Copy signals, consents, traits and the data's end into the store; how many it holds.

    The history stays the record; the store's copy can be made anew from it at any time, so
    doing it twice changes nothing. Signals that came over HTTP meanwhile stay.

    Raises
    ------
    EmptyHistory
        If there are no signals yet.
    """
    log = history.load(raw=True)
    store.put_consent_changes(history.consent_changes())
    store.put_trait_changes(history.trait_changes())
    known = store.put_customers(
        (customer_id, log.customer(index)) for index, customer_id in enumerate(log.customer_ids)
    )
    # Last, since it moves the clock: until then the service looks from the old moment.
    store.set_data_end(history.data_end())
    return known


def take_over(home: Home, store: Store, currency: str) -> IntakeReport | None:
    """Take the signals that came over HTTP into the history; None if there are none.

    The history has them before the store forgets them. Stopped in between, the next run finds
    them known already; no signal is lost and none counts twice.

    Raises
    ------
    IntakeError
        If no row of them is usable.
    """
    waiting = store.waiting_rows()
    if not waiting:
        return None
    # Each was checked when it came, so none need be held against the rest.
    rules = IntakeRules(currency, now=None, max_quarantine_share=1.0)
    with tempfile.TemporaryDirectory(prefix=".taking-over-", dir=home.path) as folder:
        file = Path(folder) / OVER_HTTP
        rows = (row for _, row in waiting)
        file.write_text("\n".join(rows) + "\n", encoding="utf-8")
        report = ingest([file], None, home, rules)
    store.taken_over([message_id for message_id, _ in waiting])
    return report
