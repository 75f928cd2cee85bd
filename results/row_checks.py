"""Which rows this code cannot have written: forged ones, and those of another file. Whole tables are checked at once.

A file's checksum shows that its bytes are those that somebody wrote. These checks show that its values can be ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from results.records import MAX_EPOCHS, STATUSES, CostRecord, EpochRecord, Record, TrialRecord
from results.settings import STUDY_NAME

# Smallest and largest values, by column. For other columns see `_bounds`.
POSITIVE_COUNT = (1, 2**53)
PERCENT = (0, 100)
POINTS = (-1e6, 1e6)  # an interval from few seeds may be wide
SECONDS = (0, 1e9)  # thirty years
TRIAL_BOUNDS = {
    "epoch": (0, MAX_EPOCHS),
    "budget": (1, MAX_EPOCHS),
    "top1": PERCENT,
    "test_top1": PERCENT,
    "ema_top1": PERCENT,
    "ema_test_top1": PERCENT,
    "seconds": SECONDS,
    "reused_epochs": (0, MAX_EPOCHS),
    "ranks": POSITIVE_COUNT,
    "micro_batch": POSITIVE_COUNT,
    "accumulation": POSITIVE_COUNT,
    "forecast": POINTS,
    "forecast_low": POINTS,
    "forecast_high": POINTS,
    "forecast_p_worse": (0, 1),
}
EPOCH_BOUNDS = {"epoch": (1, MAX_EPOCHS), "top1": PERCENT, "ema_top1": PERCENT, "seconds": SECONDS}
COST_BOUNDS = {
    "img_size": POSITIVE_COUNT,
    "batch_size": POSITIVE_COUNT,
    "images_per_second": (0, 1e300),
    "train_images_per_second": (0, 1e300),
}
LAST_DATE = datetime(2262, 1, 1, tzinfo=UTC)  # pandas' nanoseconds end there
# What is wrong, and a boolean column that says with which rows; null counts as nothing wrong.
Complaint = tuple[str, pa.ChunkedArray]


def problems(table: pa.Table, kind: type[Record]) -> dict[int, str]:
    """What is wrong with rows of the table of `kind`, by row number: the first complaint about each."""
    found: dict[int, str] = {}
    for text, is_bad in _complaints(table, kind):
        for row in np.flatnonzero(_as_numpy(is_bad)).tolist():
            found.setdefault(row, _quote(table, text, row))
    return found


def _complaints(table: pa.Table, kind: type[Record]) -> Iterator[Complaint]:
    if kind is TrialRecord:
        yield from _bounds(table, TRIAL_BOUNDS)
        yield from _trial_complaints(table)
    elif kind is EpochRecord:
        yield from _bounds(table, EPOCH_BOUNDS)
        yield from _epoch_complaints(table)
    else:
        assert kind is CostRecord
        yield from _bounds(table, COST_BOUNDS)
        yield from _cost_complaints(table)


def _bounds(table: pa.Table, bounds: Mapping[str, tuple[float, float]]) -> Iterator[Complaint]:
    """Nulls where none may be, and numbers out of bounds; NaN is out of all bounds.

    Columns that `bounds` lacks hold finite numbers, or counts that are exact as float64 too.
    """
    for column in table.schema:
        if not column.nullable:
            yield f"{column.name} is missing", pc.is_null(table[column.name])
    defaults = {pa.float64(): (-1e300, 1e300), pa.int64(): (0, 2**53)}
    for column in table.schema:
        if column.type in defaults:
            low, high = bounds.get(column.name, defaults[column.type])
            values = table[column.name]
            is_within = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
            yield f"{column.name} is {{{column.name}}}, expected {low:g} to {high:g}", pc.invert(is_within)


def _trial_complaints(table: pa.Table) -> Iterator[Complaint]:
    recipe = pc.binary_join_element_wise(table["recipe"], table["recipe_fingerprint"], table["data_fingerprint"], "-")
    seed = pc.binary_join_element_wise("seed", table["seed"].cast(pa.string()), "")
    key = pc.binary_join_element_wise(table["candidate"], recipe, seed, "--")
    candidate = pc.binary_join_element_wise(table["backbone"], table["placement"], "-")
    yield "its candidate, recipe, data and seed are not those of its key", pc.not_equal(table["key"], key)
    yield "its backbone and placement are not those of {candidate!r}", pc.not_equal(table["candidate"], candidate)
    for name in ("study", "reused"):
        yield f"{name} {{{name}!r}} is no study's name", pc.invert(pc.match_substring_regex(table[name], STUDY_NAME))
    is_known = pc.is_in(table["status"], pa.array(STATUSES))
    yield "status {status!r}, expected " + ", ".join(STATUSES), pc.invert(is_known)
    yield "epoch {epoch} of a budget of {budget}", pc.greater(table["epoch"], table["budget"])
    is_short = pc.less(table["epoch"], table["budget"])
    yield "done at epoch {epoch} of {budget}", pc.and_(pc.equal(table["status"], "done"), is_short)
    is_tested = pc.is_valid(table["test_top1"])
    yield "a test top-1 at epoch {epoch} of {budget}", pc.and_(is_tested, is_short)
    yield "a second row of its trial", _is_repeated(table["key"])


def _epoch_complaints(table: pa.Table) -> Iterator[Complaint]:
    trial = pc.binary_join_element_wise(table["candidate"], table["seed"].cast(pa.string()), "--seed")
    said = pc.replace_substring_regex(table["key"], "--.*--seed", "--seed")
    yield "its candidate and seed are not those of its key", pc.not_equal(said, trial)
    yield "epoch {epoch} is not the one after its predecessor's", pa.chunked_array([_is_out_of_order(table)])
    start = pa.scalar(datetime(1970, 1, 1, tzinfo=UTC), table["finished_at"].type)
    end = pa.scalar(LAST_DATE, table["finished_at"].type)
    is_date = pc.and_(pc.greater_equal(table["finished_at"], start), pc.less(table["finished_at"], end))
    yield "finished_at is no date between 1970 and 2262", pc.invert(is_date)


def _cost_complaints(table: pa.Table) -> Iterator[Complaint]:
    device = pc.replace_substring_regex(pc.utf8_lower(table["device"]), "[^a-z0-9]+", "-")
    size = pc.binary_join_element_wise(table["img_size"].cast(pa.string()), "px", "")
    key = pc.binary_join_element_wise(table["candidate"], size, device, "--")
    yield "its candidate, image size and device are not those of its key", pc.not_equal(table["key"], key)
    yield "a second row of its key", _is_repeated(table["key"])


def _is_out_of_order(epochs: pa.Table) -> NDArray[np.bool_]:
    """Rows that are neither a trial's first epoch nor the one after the row before them."""
    epoch = epochs["epoch"].to_numpy()
    key = epochs["key"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    is_first = np.ones(len(epoch), dtype=bool)
    is_first[1:] = key[1:] != key[:-1]
    expected = np.ones(len(epoch), dtype=np.int64)
    expected[1:] = np.where(is_first[1:], 1, epoch[:-1] + 1)
    _, first_rows = np.unique(key, return_index=True)
    begins_again = is_first.copy()  # a trial whose rows stand in two places
    begins_again[first_rows] = False
    return (epoch != expected) | begins_again


def _is_repeated(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Every row whose value stands in another row too."""
    counts = column.value_counts()
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return pc.is_in(column, repeated)


def _as_numpy(is_bad: pa.ChunkedArray) -> NDArray[np.bool_]:
    return pc.fill_null(is_bad, False).to_numpy(zero_copy_only=False).astype(bool)


def _quote(table: pa.Table, text: str, row: int) -> str:
    """A complaint with the row's values in place of the columns' names in braces."""
    named = [column for column in table.schema.names if f"{{{column}" in text]
    values = {column: _short(table[column][row].as_py()) for column in named}
    return text.format(**values)


def _short(value: object) -> object:
    return value[:60] if isinstance(value, str) else value
