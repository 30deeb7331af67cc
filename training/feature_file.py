"""Features of every customer at one moment, as a file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import Home
from training.row_file import require_writable


def write_features(home: Home, as_of: int, out: Path) -> tuple[int, int]:
    """Write one row a customer, `customer_id` first; how many rows and features.

    An empty cell (null) stands where a feature has nothing to say.

    Raises
    ------
    WrongFile
        If `out` ends in neither `.parquet` nor `.csv`.
    """
    require_writable(out)
    home.about()
    log = History(home.signals).load(received_before=as_of)
    customers = np.arange(len(log), dtype=np.int64)
    matrix = feature_matrix(FEATURES, log, customers, np.full(len(log), as_of, dtype=np.int64))
    columns = {"customer_id": pa.array(log.customer_ids, pa.string())} | {
        name: pa.array(matrix[:, place], mask=np.isnan(matrix[:, place]))
        for place, name in enumerate(FEATURES.names)
    }
    table = pa.table(columns)
    beside = out.with_name(f".{out.name}.part")
    if out.suffix == ".csv":
        pyarrow.csv.write_csv(table, beside)
    else:
        pq.write_table(table, beside)
    beside.replace(out)
    return table.num_rows, len(FEATURES.names)
