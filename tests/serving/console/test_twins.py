"""The CSV twin: no cell that a spreadsheet would run."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from serving.console.twins import FORMULA_STARTS, Rows, csv_text


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_no_cell_begins_a_formula(rows: list[tuple[str, str]]) -> None:
    read = csv.reader(io.StringIO(csv_text(Rows(("a", "b"), tuple(rows))), newline=""))
    for row in read:
        assert not any(cell.startswith(FORMULA_STARTS) for cell in row)


def test_numbers_stay_numbers() -> None:
    text = csv_text(Rows(("name", "value"), (("net", -1.5), ("none", None), ("=1+1", 2))))
    assert text == "name,value\r\nnet,-1.5\r\nnone,\r\n'=1+1,2\r\n"
