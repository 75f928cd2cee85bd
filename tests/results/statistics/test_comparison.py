from itertools import combinations
from math import inf, isnan, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.verdicts import Source, false_tables, pairs, planted, rates
from results.statistics.comparison import (
    ALPHA,
    GUARD,
    POWER,
    compare,
    holm,
    pooled_sd,
    power,
    seeds_needed,
    smallest_difference,
    trend,
)
from tests.support.paths import SHARED

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


def test_the_students_p_is_that_of_its_formula():
    t = 0.25 / sqrt((np.var(BASE, ddof=1) + np.var([90.0, 90.35, 90.7], ddof=1)) / 3)
    assert against_base([90.0, 90.35, 90.7], BASE).p_student == pytest.approx(2 * stats.t.sf(t, 4))


def test_welchs_p_is_that_of_its_formula():
    a, b = np.var(MIXED, ddof=1) / 5, np.var(LESS, ddof=1) / 4
    t, df = (np.mean(MIXED) - np.mean(LESS)) / sqrt(a + b), (a + b) ** 2 / (a**2 / 4 + b**2 / 3)
    assert against_base(MIXED, LESS).p_welch == pytest.approx(2 * stats.t.sf(t, df))


def test_the_permutation_p_counts_all_splits():
    pool, total = MIXED + BASE + [90.35, 90.6], sum(MIXED + BASE + [90.35, 90.6])
    far = [abs(2 * sum(arm) - total) >= abs(2 * sum(MIXED) - total) - 1e-9 for arm in combinations(pool, 5)]
    assert against_base(MIXED, [*BASE, 90.35, 90.6]).p_permutation == pytest.approx(np.mean(far))


def test_welch_decides_between_unequal_arms_and_student_between_equal_ones():
    unequal, equal = against_base([90.6, 90.9, 91.5], LESS), against_base([90.6, 90.9, 91.5], BASE)
    assert (unequal.p, equal.p) == pytest.approx((GUARD * unequal.p_welch, GUARD * equal.p_student))


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
    monkeypatch.setattr("results.statistics.comparison._interval", lambda a, b: (-0.1, 1.0))
    assert against_base(BETTER, BASE).verdict == "unresolved"


def test_holms_steps_are_those_of_a_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


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


def test_equivalence_is_two_one_sided_welch_tests():
    result = against_base(MIXED, LESS, margin=0.8)
    below = stats.ttest_ind(np.add(MIXED, 0.8), LESS, equal_var=False, alternative="greater").pvalue
    above = stats.ttest_ind(np.subtract(MIXED, 0.8), LESS, equal_var=False, alternative="less").pvalue
    assert result.p_equivalent == pytest.approx(max(below, above))


def test_a_real_difference_within_the_margin_is_a_win():
    result = against_base([90.20, 90.21, 90.22], [90.00, 90.01, 90.02])
    assert result.p_equivalent <= ALPHA
    assert result.verdict == "win"


def test_ties_count_half():
    assert against_base([1.0, 2.0], [1.0, 0.0]).p_better == (0.5 + 3) / 4


def test_the_order_of_rows_changes_nothing_and_neither_does_another_run():
    rows = {"a": BETTER, "b": MIXED, "c": LESS, "base": BASE}
    baselines = {"a": "base", "b": "base", "c": "b"}
    reverse = compare(dict(reversed(rows.items())), dict(reversed(baselines.items())))
    assert compare(rows, baselines) == compare(rows, baselines) == reverse


def test_an_unresolved_row_says_how_many_seeds_would_resolve_it():
    row = against_base([90.0, 90.3, 90.6], BASE)
    assert row.seeds_needed == seeds_needed(0.2, pooled_sd([[90.0, 90.3, 90.6], BASE]))
    assert against_base(BETTER, BASE).seeds_needed is None


@pytest.mark.parametrize(("difference", "normal"), [(0.1, 36), (0.2, 9), (0.3, 4)])
def test_seeds_are_those_of_the_normal_approximation_and_one_or_two(difference, normal):
    assert normal < seeds_needed(difference, 0.15) <= normal + 2


@pytest.mark.parametrize("comparisons", [1, 6])
def test_the_seeds_are_the_fewest_that_have_the_power(comparisons):
    seeds = seeds_needed(0.2, 0.15, comparisons)
    assert (
        noncentral_power(0.2 / 0.15, seeds, comparisons) >= POWER > noncentral_power(0.2 / 0.15, seeds - 1, comparisons)
    )


def noncentral_power(effect, seeds, comparisons):
    df, shift = 2 * seeds - 2, effect * sqrt(seeds / 2)
    critical = stats.t.isf(ALPHA / comparisons / 2, df)
    return stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)


@pytest.mark.parametrize(
    ("difference", "sd"), [(0.0, 1.0), (0.001, 1.0), (1.0, 0.0), (float("nan"), 1.0), (1.0, float("nan"))]
)
def test_no_number_of_seeds_is_made_up(difference, sd):
    assert seeds_needed(difference, sd) is None


@pytest.mark.parametrize("seeds", [2, 3, 10, 1000])
def test_the_smallest_difference_has_the_power(seeds):
    level = ALPHA / 6 / (GUARD if seeds <= 3 else 1)
    assert power(smallest_difference(0.15, seeds, 6) / 0.15, seeds, level) == pytest.approx(POWER)


def test_one_seed_resolves_nothing():
    assert smallest_difference(0.15, 1) == inf


def test_the_pooled_sd_weighs_by_degrees_of_freedom():
    assert pooled_sd([[0.0, 2.0], [1.0, 2.0, 3.0], [7.0]]) == pytest.approx(sqrt((2 + 2) / 3))
    assert isnan(pooled_sd([[1.0], []]))


def test_a_trend_is_the_least_squares_line_with_its_t_interval():
    # Residuals -1, 2, -1 of the line 2 + 3x: variance 6 / 1, of the slope 6 / 2.
    found = trend([-1, 0, 1], [-2.0, 4.0, 4.0])
    half = stats.t.isf(0.025, 1) * sqrt(3)
    assert vars(found) == pytest.approx(
        {"slope": 3, "low": 3 - half, "high": 3 + half, "p": 2 * stats.t.sf(sqrt(3), 1)}
    )


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1.0, 2.0]), ([1, 1, 1], [1.0, 2.0, 3.0])])
def test_no_trend_through_too_few_points(x, y):
    assert all(isnan(value) for value in vars(trend(x, y)).values())


@pytest.fixture(scope="module")
def source():
    path = SHARED / "tabular" / "nasbench201_cifar10.parquet"
    if not path.exists():
        pytest.skip("needs the NAS-Bench-201 accuracies, which are not part of the repository")
    return Source.trained(pd.read_parquet(path))


@pytest.mark.parametrize("seeds", [3, 5])
def test_few_rows_of_equals_win_or_lose(source, seeds):
    # A rule that errs in 5 % comes to 23 of 250 in 1 of 200 runs, one that errs in 15 % nearly always.
    wrong = 250 * rates(pairs(source, seeds, 0.0, 250), 0.0)["verdict"]
    assert 0 < wrong < 23


def test_few_tables_of_equals_hold_a_winner(source):
    assert false_tables(source, 3, 100) < 0.13


@pytest.mark.parametrize("seeds", [3, 4, 5])
def test_the_verdict_costs_less_than_five_points_of_students_power(source, seeds):
    delta = planted(source, POWER, seeds)
    found = rates(pairs(source, seeds, delta, 500), delta)
    assert found["Student"] == pytest.approx(POWER, abs=0.054)  # three standard errors
    assert found["verdict"] > found["Student"] - 0.05


def test_equals_with_normal_noise_rarely_win_or_lose():
    draw, repeats = np.random.default_rng(0), 300
    tables = ({"row": row, "base": base} for row, base in draw.normal(90, 0.3, (repeats, 2, 3)))
    wrong = sum(compare(table, {"row": "base"})["row"].verdict in ("win", "loss") for table in tables)
    assert 0 < wrong <= 0.05 * repeats + 3 * (0.05 * 0.95 * repeats) ** 0.5
