"""What Tune is told, by a fake agenda on a fake cluster: no Ray process."""

import signal
from types import SimpleNamespace

import pytest
from conftest import trial_record

from cluster import Interrupts, Jobs, Listener


class Agenda:
    """So many trials, each to two epochs; those that are over."""

    def __init__(self, number):
        self.left, self.ended = [trial_record(seed=seed, epoch=1) for seed in range(number)], []

    def next(self):
        return (self.left.pop(0), 2) if self.left else None

    def over(self, record):
        self.ended.append(record.seed)


def jobs(trials, side_by_side):
    return Jobs(Agenda(trials), SimpleNamespace(side_by_side=side_by_side))


def test_a_job_says_what_its_trial_has_and_until_where_to_go():
    record = trial_record(seed=0)
    told = {"key": record.key, "candidate": record.candidate, "seed": 0, "epoch": 1, "until": 2}
    assert jobs(1, side_by_side=1).suggest("x") == {"trial": told}


def test_the_agenda_is_asked_only_while_fewer_trials_are_live_than_fit():
    search = jobs(3, side_by_side=2)
    assert [search.suggest(name) is None for name in "xyz"] == [False, False, True]
    assert [record.seed for record in search.agenda.left] == [2]


def test_a_trial_that_ends_is_over_and_frees_its_place():
    search = jobs(3, side_by_side=2)
    for name in "xy":
        search.suggest(name)
    search.on_trial_complete("y", error=True)
    assert search.agenda.ended == [1]
    assert search.suggest("z")["trial"]["seed"] == 2


def test_the_search_is_finished_only_when_nothing_is_live():
    search = jobs(1, side_by_side=2)
    search.suggest("x")
    assert search.suggest("y") is None
    search.on_trial_complete("x")
    assert search.suggest("y") == Jobs.FINISHED


def test_an_interrupt_before_tune_listens_waits_for_its_loop():
    interrupts, passed_on = Interrupts(), []
    with interrupts:
        signal.raise_signal(signal.SIGTERM)  # no handler of SIGUSR1 yet: passing it on now would end the process
        before = signal.signal(signal.SIGUSR1, lambda number, frame: passed_on.append(number))
        listener = Listener(None, interrupts)
        listener.on_step_begin(0, [])
        listener.on_step_begin(1, [])
        signal.signal(signal.SIGUSR1, before)
    assert interrupts.received == signal.SIGTERM
    assert passed_on == [signal.SIGUSR1]


@pytest.mark.parametrize(("total", "wanted"), [({"CPU": 8}, (1, 0.0)), ({"CPU": 16, "GPU": 2}, (8, 1.0))])
def test_a_trial_gets_a_gpu_where_there_are_any(monkeypatch, total, wanted):
    import cluster

    monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: total)
    monkeypatch.setattr(cluster.ray, "nodes", lambda: [{"Alive": True, "Resources": total}])
    assert cluster._share(None, None) == wanted
    with pytest.raises(ValueError, match="a trial wants 1 CPUs and 3 GPUs, the nodes have"):
        cluster._share(1, 3.0)
    with pytest.raises(ValueError, match=r"1\.5 GPUs a trial, expected a fraction of one or a whole number"):
        cluster._share(1, 1.5)
    if "GPU" in total:
        assert cluster._share(None, 0.25) == (2, 0.25)
