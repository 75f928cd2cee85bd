import itertools

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel

from schedulers import SAMPLER_NAMES
from schedulers.encoded_space import EncodedSpace, Observation
from schedulers.samplers.gp import expected_gain, views
from schedulers.samplers.gp_kernel import LevelKernel, covariance, fit
from schedulers.samplers.gp_posterior import Codes, Posterior
from schedulers.samplers.registry import SAMPLERS, make_sampler

ALL = pytest.mark.parametrize("name", SAMPLERS)
LEARNING = pytest.mark.parametrize("name", ["evolution", "tpe", "gp"])


def full(*sizes, ordinal=False, costs=None):
    levels = np.array(list(itertools.product(*map(range, sizes))))
    return EncodedSpace(levels, (ordinal,) * len(sizes), costs)


def additive(points, seed=0):
    """Top-1 by point: one effect a level of each axis, so the best point is the best level of each."""
    effects = np.random.default_rng(seed).normal(size=(points.levels.shape[1], points.levels.max() + 1))
    return 90 + sum(effects[axis][levels] for axis, levels in enumerate(points.levels.T))


def search(sampler, points, top1, count, seen=()):
    seen = list(seen)
    for _ in range(count):
        point = sampler.propose(points, seen)
        seen.append(Observation(index=point, value=float(top1[point])))
    return seen


@ALL
def test_every_point_is_visited_once(name):
    points = full(4, 4, 4, 4)
    sampler = make_sampler(name, 0)
    seen = search(sampler, points, additive(points), 256)
    assert sorted(past.index for past in seen) == list(range(256))
    assert sampler.propose(points, seen) is None


@ALL
def test_a_restarted_search_goes_on_as_if_it_had_not_stopped(name):
    points = full(5, 5, 5, ordinal=True)
    top1 = additive(points)
    whole = search(make_sampler(name, 3), points, top1, 40)
    for cut in (4, 17, 30, 39):
        again = search(make_sampler(name, 3), points, top1, 2 if cut < 39 else 1, whole[:cut])
        assert again == whole[: len(again)]


@ALL
def test_trials_that_run_side_by_side_differ(name):
    points = full(4, 4, 4)
    seen = search(make_sampler(name, 0), points, additive(points), 24)
    for _ in range(8):
        seen.append(Observation(index=make_sampler(name, 0).propose(points, seen), status="running"))
    assert len({past.index for past in seen}) == 32


@ALL
def test_a_trial_that_ends_late_is_told(name):
    """What one sampler saw running and then ended is to another, that comes later, just ended."""
    points = full(4, 4, 4)
    top1 = additive(points)
    sampler = make_sampler(name, 0)
    seen = search(sampler, points, top1, 20)
    for _ in range(3):
        seen.append(Observation(index=sampler.propose(points, seen), status="running"))
    seen[-3:] = [Observation(index=past.index, value=float(top1[past.index])) for past in seen[-3:]]
    assert sampler.propose(points, seen) == make_sampler(name, 0).propose(points, seen)


@ALL
def test_candidates_need_be_no_product_of_levels(name):
    levels = np.random.default_rng(0).permutation(full(4, 4, 1, 5).levels * 10 + 2)[:50]
    points = EncodedSpace(levels, (False, True, False, True))
    seen = search(make_sampler(name, 0), points, levels.sum(axis=1), 50)
    assert len({past.index for past in seen}) == 50


@ALL
def test_diverged_trials_are_neither_repeated_nor_recommended(name):
    points = full(4, 4, 4)
    sampler, seen = make_sampler(name, 0), []
    for _ in range(30):
        point = sampler.propose(points, seen)
        failed = points.levels[point, 0] == 1 or len(seen) < 4
        seen.append(Observation(index=point, status="diverged") if failed else Observation(index=point, value=50.0))
    assert len({past.index for past in seen}) == 30
    assert points.levels[sampler.recommend(points, seen), 0] != 1


def test_levels_at_which_training_diverges_are_left_alone():
    points = full(4, 4, 4)
    top1 = additive(points)
    sampler, seen = make_sampler("gp", 0), []
    for _ in range(30):
        point = sampler.propose(points, seen)
        failed = points.levels[point, 0] == 1
        seen.append(
            Observation(index=point, status="diverged") if failed else Observation(index=point, value=top1[point])
        )
    assert sum(past.status == "diverged" for past in seen[10:]) <= 3


def test_nothing_is_recommended_before_a_trial_has_ended():
    points = full(2, 2)
    for name in SAMPLERS:
        with pytest.raises(ValueError, match="none of 1 trials"):
            make_sampler(name, 0).recommend(points, [Observation(index=0, status="running")])


def test_an_unknown_sampler_is_named_beside_those_there_are():
    with pytest.raises(ValueError, match="no sampler 'tree' among grid, random"):
        make_sampler("tree", 0)


def test_a_gaussian_process_finds_a_planted_optimum():
    points = full(5, 5, 5, 5)
    top1 = additive(points)
    found = {name: max(p.value for p in search(make_sampler(name, 0), points, top1, 40)) for name in ("gp", "random")}
    assert found["gp"] == top1.max() > found["random"]


def test_noise_does_not_decide_what_is_recommended():
    points = full(5, 5, 5)
    top1 = additive(points)
    noisy = top1 + np.random.default_rng(0).normal(0, 0.7, len(points))
    sampler = make_sampler("gp", 0)
    seen = search(sampler, points, noisy, 60)
    lucky = max(seen, key=lambda past: past.value).index
    assert top1[sampler.recommend(points, seen)] >= top1[lucky]


@LEARNING
def test_a_search_with_costs_walks_along_the_front(name):
    """Each level of the first axis costs more and is worth more: the front holds all of them."""
    levels = full(8, 4, 4, 4).levels
    costs = (10.0 ** levels[:, 0]).astype(float)
    points = EncodedSpace(levels, (True, False, False, False), costs)
    top1 = 80 + levels[:, 0] + 2.0 * (levels[:, 1:] == 2).sum(axis=1)
    seen = search(make_sampler(name, 0), points, top1, 80)
    best = [max((p.value for p in seen if costs[p.index] <= cost), default=0) for cost in np.unique(costs)]
    assert np.mean(best) > {"evolution": 86.0, "tpe": 87.0, "gp": 89.0}[name]


def test_the_expected_gain_with_costs_is_that_of_the_area_under_the_front():
    costs = np.array([3.0, 10.0, 10.0, 100.0, 7.0, 1e6])
    points = full(6, costs=costs)
    rank = np.array([0, 2, 2, 3, 1, 4])
    mean, sd, known = np.array([1.0, 1.5, 3.0, 2.0, 1.2, 2.5]), np.full(6, 0.8), np.array([0, 2, 3])

    def area(tops, ranks):
        return sum(
            max((top for top, own in zip(tops, ranks, strict=True) if own <= step), default=1.0) for step in range(5)
        )

    before = area(mean[known], rank[known])
    draws = np.random.default_rng(0).normal(size=4000)
    for point in (1, 4, 5):
        tops = mean[point] + 0.8 * draws
        gains = [area([*mean[known], top], [*rank[known], rank[point]]) - before for top in tops]
        assert expected_gain(points, mean, sd, known)[point] == pytest.approx(np.mean(gains), abs=0.1)


def kernel(points):
    codes = Codes.of(points)
    rng = np.random.default_rng(0)
    factors, weights = rng.uniform(0.5, 2, len(codes.term)), rng.uniform(0.1, 1, codes.term.max() + 1)
    return codes, LevelKernel(codes.term, factors, 0.9, weights) + WhiteKernel(0.05)


def test_the_gradient_of_the_covariance_is_that_of_finite_differences():
    codes, own = kernel(full(3, 4, 2, ordinal=True))
    rows = codes.rows[::3].astype(float)
    _, gradient = own(rows, eval_gradient=True)
    for place, step in enumerate(np.eye(len(own.theta)) * 1e-5):
        difference = own.clone_with_theta(own.theta + step)(rows) - own.clone_with_theta(own.theta - step)(rows)
        np.testing.assert_allclose(gradient[..., place], difference / 2e-5, atol=1e-8)


def test_the_growing_posterior_is_that_of_scikit_learn():
    points = full(3, 4, 2, 3, ordinal=True)
    codes, own = kernel(points)
    indices = np.random.default_rng(0).permutation(len(points))[:40].tolist()
    values = views([(point, float(point % 7)) for point in indices])
    told = [(index, 1 + index % 3) for index in indices]
    posterior = Posterior(codes, covariance(own), told[:11])
    for index in told[11:]:
        posterior.append(*index)
    rows = codes.rows.astype(float)
    noise = np.array([0.05 / seeds for _, seeds in told])
    twin = GaussianProcessRegressor(own.k1, optimizer=None, alpha=noise).fit(rows[indices], values)
    mean, sd = twin.predict(rows, return_std=True)
    np.testing.assert_allclose(posterior.mean(values, np.ones(40, bool)).T, mean, atol=1e-4)
    np.testing.assert_allclose(posterior.sd() ** 2, sd[:, 0] ** 2, atol=1e-4)


def test_a_running_trial_changes_what_is_uncertain_but_not_what_is_expected():
    codes, own = kernel(full(3, 4, 2))
    posterior = Posterior(codes, covariance(own), [(0, 1), (5, 1), (9, 1)])
    values, known = np.array([[1.0], [-1.0], [0.0]]), np.array([True, True, True])
    mean, sd = posterior.mean(values, known), posterior.sd()
    posterior.append(14, 1)
    np.testing.assert_allclose(posterior.mean(values, np.append(known, False)), mean, atol=1e-5)
    assert posterior.sd()[14] < sd[14] / 2


def test_the_axis_that_matters_weighs_most():
    points = full(4, 4, 4)
    codes = Codes.of(points)
    values = np.random.default_rng(0).normal(size=(4, 4))[points.levels[:, 1], points.levels[:, 2]]
    weights = fit(codes.rows, codes.term, values[:, None]).weights.reshape(3, 4).mean(axis=1)
    assert min(weights[1:]) > 3 * weights[0]


def test_one_axis_is_enough_for_a_gaussian_process():
    points = EncodedSpace(np.arange(12)[:, None], (False,))
    seen = []
    for _ in range(12):
        seen.append(Observation(index=make_sampler("gp", 0).propose(points, seen), value=50.0 + len(seen)))
    assert {past.index for past in seen} == set(range(12))


def test_the_names_for_the_command_line_are_those_of_the_samplers():
    assert set(SAMPLER_NAMES) == set(SAMPLERS)
