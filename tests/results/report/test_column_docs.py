from results.report.column_docs import NOTES, TABLE


def test_the_same_column_may_mean_different_things():
    lows = {kind: notes["low"] for kind, notes in NOTES.items() if "low" in notes}
    assert "t-interval" in lows["head_counts"]
    assert "lowest seed" in lows["learning_curves"]
    assert "bootstrap" in TABLE["low"].note


def test_every_column_has_a_note():
    assert all(column.note for column in TABLE.values())
    assert all(note for notes in NOTES.values() for note in notes.values())
