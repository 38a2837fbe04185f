"""In the list of runs as CSV, text entered by a person is never a spreadsheet formula."""

import csv
from datetime import UTC, datetime
from io import StringIO

from hypothesis import example, given
from hypothesis import strategies as st

from plangate.presentation.audit_pages import COLUMNS, values_of
from plangate.records.queries import RunSummary

STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.sampled_from(["", *STARTS]), TEXTS)
@example("=", "cmd|' /C calc'!A0")
@example("=", '1","=2')
def test_a_cell_that_looks_like_a_formula_is_escaped(start: str, rest: str) -> None:
    text = start + rest
    summary = RunSummary(
        workflow_id=text,
        state=text,
        requester=text,
        requested_at=AT,
        closed_at=None,
        approved_by=(text, "dana"),
        entries=1,
        last_hash="0" * 64,
    )
    written = StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerow(values_of(summary))
    (row,) = csv.reader(StringIO(written.getvalue(), newline=""))
    cells = dict(zip(COLUMNS, row, strict=True))
    assert not any(cell.startswith(tuple(STARTS)) for cell in row)
    text = text.replace("\r", "\n")
    escaped = f"'{text}" if text.startswith(tuple(STARTS)) else text
    assert cells["requester"] == cells["workflow_id"] == escaped
