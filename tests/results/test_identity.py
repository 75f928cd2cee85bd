from dataclasses import asdict, replace

import pyarrow as pa

from results.identity import TrialIdentity, foreign_rows, identities, study_identity
from results.records import TrialRecord, schema
from tests.support.studies import SETTINGS, trial_record

OURS = TrialIdentity.of(SETTINGS)


def table(*records):
    return pa.Table.from_pylist([asdict(record) for record in records], schema=schema(TrialRecord))


def test_a_row_repeats_the_settings():
    assert identities(table(trial_record(), trial_record(seed=1))) == {OURS: 2}


def test_the_most_frequent_identity_comes_first():
    rows = table(trial_record(code="1"), trial_record(seed=1), trial_record(seed=2))
    assert list(identities(rows).values()) == [2, 1]


def test_rows_are_of_their_settings_if_one_of_them_agrees():
    rows = table(trial_record(code="1"), trial_record(seed=1, code="1"), trial_record(seed=2))
    assert study_identity(SETTINGS, rows) == OURS


def test_settings_with_which_no_row_agrees_are_outvoted():
    assert study_identity(SETTINGS, table(trial_record(code="1"))) == replace(OURS, code="1")
    assert study_identity(None, table(trial_record(code="1"))) == replace(OURS, code="1")


def test_without_rows_the_settings_count():
    assert study_identity(SETTINGS, table()) == OURS
    assert study_identity(None, table()) is None


def test_foreign_rows_say_how_they_differ():
    rows = table(trial_record(), trial_record(seed=1, budget=9))
    assert foreign_rows(rows, OURS) == {1: "it is not of this study, in turn: budget 9 and 4"}
