"""What holds for every sampler."""

import numpy as np
import pytest

from schedulers import SAMPLER_NAMES
from schedulers.encoded_space import EncodedSpace, Observation
from schedulers.samplers.registry import SAMPLERS, make_sampler
from tests.support.invented_spaces import additive_top1, full_space, indices, run_sampler, run_with_failures

ALL = pytest.mark.parametrize("name", SAMPLERS)


def test_the_names_for_the_command_line_are_those_of_the_samplers():
    assert set(SAMPLER_NAMES) == set(SAMPLERS)


def test_an_unknown_sampler_is_named_beside_those_there_are():
    with pytest.raises(ValueError, match="no sampler 'tree' among grid, random"):
        make_sampler("tree", 0)


@ALL
def test_every_candidate_is_proposed_once(name):
    space = full_space(4, 4, 4, 4)
    sampler = make_sampler(name, 0)
    observations = run_sampler(sampler, space, additive_top1(space), 256)
    assert sorted(indices(observations)) == list(range(256))
    assert sampler.propose(space, observations) is None


@ALL
def test_a_restarted_search_goes_on_as_if_it_had_not_stopped(name):
    space = full_space(5, 5, 5, ordinal=True)
    top1 = additive_top1(space)
    whole = run_sampler(make_sampler(name, 3), space, top1, 40)
    for cut in (4, 17, 30, 39):
        again = run_sampler(make_sampler(name, 3), space, top1, 2 if cut < 39 else 1, whole[:cut])
        assert again == whole[: len(again)]


@ALL
def test_parallel_proposals_differ(name):
    space = full_space(4, 4, 4)
    observations = run_sampler(make_sampler(name, 0), space, additive_top1(space), 24)
    for _ in range(8):
        index = make_sampler(name, 0).propose(space, observations)
        observations.append(Observation(index=index, status="running"))
    assert len(set(indices(observations))) == 32


@ALL
def test_a_trial_that_ends_late_counts_as_if_it_had_always_ended(name):
    space = full_space(4, 4, 4)
    top1 = additive_top1(space)
    sampler = make_sampler(name, 0)
    observations = run_sampler(sampler, space, top1, 20)
    for _ in range(3):
        observations.append(Observation(index=sampler.propose(space, observations), status="running"))
    ended = [Observation(index=each.index, value=float(top1[each.index])) for each in observations]
    assert sampler.propose(space, ended) == make_sampler(name, 0).propose(space, ended)


@ALL
def test_a_space_need_not_be_a_product_of_levels(name):
    levels = np.random.default_rng(0).permutation(full_space(4, 4, 1, 5).levels * 10 + 2)[:50]
    space = EncodedSpace(levels, (False, True, False, True))
    observations = run_sampler(make_sampler(name, 0), space, levels.sum(axis=1), 50)
    assert len(set(indices(observations))) == 50


@ALL
def test_diverged_trials_are_neither_repeated_nor_recommended(name):
    space = full_space(4, 4, 4)
    sampler = make_sampler(name, 0)

    def fails(index, number):
        return space.levels[index, 0] == 1 or number < 4

    observations = run_with_failures(sampler, space, np.full(64, 50.0), 30, fails)
    assert len(set(indices(observations))) == 30
    assert space.levels[sampler.recommend(space, observations), 0] != 1


@ALL
def test_nothing_is_recommended_before_a_trial_has_ended(name):
    with pytest.raises(ValueError, match="none of 1 trials"):
        make_sampler(name, 0).recommend(full_space(2, 2), [Observation(index=0, status="running")])
