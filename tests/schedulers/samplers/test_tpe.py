from schedulers.samplers.tpe import TPE
from tests.support.invented_spaces import additive_top1, full_space, mean_best_by_cost, run_sampler, stairs


def test_a_search_with_costs_walks_along_the_front():
    space, top1 = stairs()
    assert mean_best_by_cost(space, run_sampler(TPE(), space, top1, 80)) > 87.0


def test_proposals_after_the_random_ones_are_better():
    space = full_space(5, 5, 5)
    top1 = additive_top1(space)
    values = [each.value for each in run_sampler(TPE(initial=10), space, top1, 40)]
    assert sum(values[10:]) / 30 > sum(values[:10]) / 10


def test_a_study_that_does_not_continue_the_last_starts_anew():
    space = full_space(5, 5, 5)
    top1 = additive_top1(space)
    sampler = TPE()
    run_sampler(sampler, space, top1, 15)
    other = run_sampler(TPE(seed=1), space, top1, 15)
    assert sampler.propose(space, other) == TPE().propose(space, other)
