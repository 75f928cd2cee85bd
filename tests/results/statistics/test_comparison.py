from math import isnan

import numpy as np
import pytest

from results.statistics.comparison import compare
from results.statistics.power import pooled_sd, seeds_needed
from results.statistics.significance import ALPHA, small_sample_factor

BASE = [90.0, 90.1, 90.2]
BETTER = [91.0, 91.1, 91.2]
MIXED = [90.0, 90.3, 90.4, 90.9, 90.5]
LESS = [89.8, 90.1, 90.2, 90.35]


def against_base(row, base, **options):
    return compare({"row": row, "base": base}, {"row": "base"}, **options)["row"]


def test_three_separated_seeds_win_and_lose():
    rows = compare(
        {"better": BETTER, "base": BASE, "worse": [89.0, 89.1, 89.2]}, dict.fromkeys(("better", "worse"), "base")
    )
    assert {name: row.verdict for name, row in rows.items()} == {"better": "win", "worse": "loss"}
    assert rows["better"].difference == pytest.approx(1.0)
    assert 0.5 < rows["better"].low < 1.0 < rows["better"].high < 1.5
    assert rows["better"].p_better == 1.0


@pytest.mark.parametrize(
    ("row", "base"), [([95.0], BASE), (BETTER, [90.0]), ([95.0], [90.0]), ([95.0] * 3, [90.0] * 3)]
)
def test_without_measured_noise_only_the_difference_is_known(row, base):
    result = against_base(row, base)
    assert result.verdict == "unresolved"
    assert result.seeds_needed is None
    assert not isnan(result.difference)
    assert all(isnan(value) for name, value in vars(result).items() if name.startswith(("p", "low", "high")))


def test_a_row_that_was_not_run_is_unresolved():
    assert isnan(against_base([], BASE).difference)
    assert against_base([], BASE).verdict == "unresolved"


def test_a_row_is_not_compared_with_itself():
    assert list(compare({"base": BASE, "row": BETTER}, {"base": "base", "row": "base"})) == ["row"]


def test_an_unknown_row_is_refused_by_name():
    with pytest.raises(ValueError, match="no row 'b' among row"):
        compare({"row": BASE}, {"row": "b"})


def test_a_missing_accuracy_is_refused():
    with pytest.raises(ValueError, match=r"row 'row' holds \[90.0, nan\]"):
        against_base([90.0, float("nan")], BASE)


def test_welch_decides_between_unequal_arms_and_student_between_equal_ones():
    unequal = against_base([90.6, 90.9, 91.5], LESS)
    equal = against_base([90.6, 90.9, 91.5], BASE)
    assert unequal.p == pytest.approx(small_sample_factor(3, 4) * unequal.p_welch)
    assert equal.p == pytest.approx(small_sample_factor(3, 3) * equal.p_student)


def test_where_the_permutation_test_can_speak_p_is_not_raised():
    result = against_base([90.6, 90.9, 91.5, 91.0], [90.0, 90.1, 90.2, 90.3])
    assert result.p == result.p_student


def test_the_permutation_test_may_veto():
    result = against_base([90.2, 90.3, 90.5, 90.5, 90.5], [89.9, 90.0, 90.0, 90.3, 90.4])
    assert result.p_student <= ALPHA
    assert result.p_permutation == pytest.approx(18 / 252)
    assert result.p == 1.0
    assert result.verdict != "win"


def test_at_four_seeds_the_permutation_test_allows_one_exchange():
    row, base = [90.4, 90.7, 90.8, 90.9], [90.0, 90.1, 90.2, 90.5]
    assert against_base(row, base).p_permutation == pytest.approx(4 / 70)
    assert against_base(row, base).verdict == "win"


def test_an_interval_that_holds_zero_vetoes(monkeypatch):
    monkeypatch.setattr("results.statistics.comparison.bootstrap_interval", lambda a, b: (-0.1, 1.0))
    assert against_base(BETTER, BASE).verdict == "unresolved"


def test_holm_takes_back_a_lone_finding_among_five():
    rows = {"lone": [90.26, 90.36, 90.46], **{f"same {number}": BASE for number in range(4)}, "base": BASE}
    alone = compare(rows, {"lone": "base"}, margin=0.3)["lone"]
    among = compare(rows, dict.fromkeys(rows, "base"), margin=0.3)["lone"]
    assert (round(alone.p, 2), alone.verdict) == (0.04, "win")
    assert among.p == pytest.approx(5 * alone.p)
    assert among.verdict == "unresolved"


def test_rows_of_one_seed_cost_the_others_nothing():
    rows = {"row": BETTER, "single": [90.5], "base": BASE}
    assert compare(rows, dict.fromkeys(("row", "single"), "base"))["row"] == against_base(BETTER, BASE)


def test_many_close_seeds_are_equivalent():
    close = np.random.default_rng(0).normal(90, 0.1, (2, 20))
    result = against_base(*close)
    assert result.verdict == "equivalent"
    assert against_base(*close, margin=0.05).verdict == "unresolved"


def test_a_real_difference_within_the_margin_is_a_win():
    result = against_base([90.20, 90.21, 90.22], [90.00, 90.01, 90.02])
    assert result.p_equivalent <= ALPHA
    assert result.verdict == "win"


def test_the_order_of_rows_changes_nothing_and_neither_does_another_run():
    rows = {"a": BETTER, "b": MIXED, "c": LESS, "base": BASE}
    baselines = {"a": "base", "b": "base", "c": "b"}
    reverse = compare(dict(reversed(rows.items())), dict(reversed(baselines.items())))
    assert compare(rows, baselines) == compare(rows, baselines) == reverse


def test_an_unresolved_row_says_how_many_seeds_would_resolve_it():
    row = against_base([90.0, 90.3, 90.6], BASE)
    assert row.seeds_needed == seeds_needed(0.2, pooled_sd([[90.0, 90.3, 90.6], BASE]))
    assert against_base(BETTER, BASE).seeds_needed is None


@pytest.mark.slow
def test_equals_with_normal_noise_rarely_win_or_lose():
    draw = np.random.default_rng(0)
    repeats = 300
    tables = ({"row": row, "base": base} for row, base in draw.normal(90, 0.3, (repeats, 2, 3)))
    wrong = sum(compare(table, {"row": "base"})["row"].verdict in ("win", "loss") for table in tables)
    assert 0 < wrong <= 0.05 * repeats + 3 * (0.05 * 0.95 * repeats) ** 0.5
