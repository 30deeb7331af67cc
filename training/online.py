"""Bring the history online: what the service must know of each customer, into the store."""

from features.history import History
from serving.store import Store


def bring_online(history: History, store: Store) -> int:
    """Copy signals, consents and the data's end into the store; how many customers it holds.

    The history stays the record; the store's copy can be made anew from it at any time, so
    doing it twice changes nothing.

    Raises
    ------
    EmptyHistory
        If there are no signals yet.
    """
    log = history.load()
    store.put_consent_changes(history.consent_changes())
    known = store.put_customers(
        (customer_id, log.customer(index)) for index, customer_id in enumerate(log.customer_ids)
    )
    # Last, since it moves the clock: until then the service looks from the old moment.
    store.set_data_end(history.data_end())
    return known
