"""One customer in a batch, alone, and through the service: the same bits, the same decision."""

import asyncio

import httpx
import numpy as np
import sqlalchemy as sa

from features.batch import feature_matrix, feature_row
from features.definitions import FEATURES
from features.history import History
from features.home import Home
from serving.calls.api import create_app
from serving.settings import Settings
from serving.storage import tables
from serving.storage.store import Store
from training.everyone import Asking, answers


async def called(app: object, key: str, customer_ids: list[str]) -> list[dict[str, object]]:
    """Answers of the service to one call for each customer."""
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        found = []
        for customer_id in customer_ids:
            response = await client.post(
                "/v1/decisions", json={"customer_id": customer_id}, headers=headers
            )
            assert response.status_code == 200, response.text
            found.append(response.json())
    return found


def test_batch_row_single_row_and_service_row_are_the_same_bits(
    trained_copy: tuple[Home, int],
) -> None:
    home, as_of = trained_copy
    log = History(home.signals).load()
    moments = np.full(len(log), as_of, dtype=np.int64)
    batch = feature_matrix(FEATURES, log, np.arange(len(log), dtype=np.int64), moments)
    asked = [place for place in range(0, len(log), 7)]
    with Store.open(home.store) as store:
        for place in asked:
            alone = feature_row(FEATURES, log.customer(place), as_of)
            online = store.customer_signals(log.customer_ids[place])
            assert online is not None
            assert alone.tobytes() == batch[place].tobytes()
            assert feature_row(FEATURES, online, as_of).tobytes() == batch[place].tobytes()
        key = store.new_key("test")

    before = list(
        answers(Asking(home, as_of, logs=False, seed=1), [log.customer_ids[p] for p in asked])
    )
    app = create_app(Settings(home.path), rng=np.random.default_rng(1))
    found = asyncio.run(called(app, key, [log.customer_ids[p] for p in asked]))

    for one, other in zip(before, found, strict=True):
        assert other.pop("decision_id")
        one.pop("decision_id")
        assert one == other
    engine = sa.create_engine(f"sqlite:///{home.store}")
    with engine.connect() as connection:
        logged = dict(
            connection.execute(
                sa.select(tables.decisions.c.customer_id, tables.decisions.c.features)
            ).all()
        )
    engine.dispose()
    for place in asked:
        assert logged[log.customer_ids[place]] == batch[place].tobytes()
