"""Rungs with invented curves: no model, no Ray process."""

import signal
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from cluster import Interrupts, Listener, Rungs
from results.records import EpochRecord
from trainers.recipes import DIGITS

RECIPE = replace(DIGITS, epochs=8, first_rung=2, rung_factor=2)  # rungs at 2 and 4; ASHA's own at 8 is the end


def trial(key):
    return SimpleNamespace(config={"trial": {"key": key}})


def epoch(key, number, top1, second=0):
    at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
    loss = {"train_loss": 1.0, "val_loss": 1.0, "lr": 0.1, "seconds": 1.0}
    return EpochRecord(key=key, candidate="c", seed=0, epoch=number, top1=top1, finished_at=at, **loss)


def decisions(rungs, *reports):
    """What is said to each (key, epoch, top1) in turn."""
    said = []
    for key, number, top1 in reports:
        if key not in rungs._trial_info:
            rungs.on_trial_add(None, trial(key))
        said.append(rungs.on_trial_result(None, trial(key), {"epoch": number, "top1": top1}))
    return said


def test_the_weaker_half_is_stopped_at_a_rung_and_only_there():
    reports = [("a", 1, 50), ("a", 2, 60), ("b", 1, 10), ("b", 2, 59), ("c", 2, 61), ("c", 3, 0), ("c", 4, 70)]
    wanted = ["CONTINUE", "CONTINUE", "CONTINUE", "STOP", "CONTINUE", "CONTINUE", "CONTINUE"]
    assert decisions(Rungs(RECIPE, [], []), *reports) == wanted


def test_a_spared_trial_counts_but_goes_on():
    reports = [("a", 2, 60), ("paper", 2, 10), ("paper", 4, 10), ("paper", 8, 10)]
    assert decisions(Rungs(RECIPE, [], {"paper"}), *reports) == ["CONTINUE"] * 4
    assert decisions(Rungs(RECIPE, [], {"paper"}), ("paper", 2, 90), ("b", 2, 80)) == ["CONTINUE", "STOP"]


def test_rungs_refilled_from_records_decide_as_those_that_never_stopped():
    before, after = [("a", 2, 60), ("b", 2, 40), ("a", 4, 65)], [("c", 2, 59), ("d", 2, 61), ("d", 4, 64)]
    whole = decisions(Rungs(RECIPE, [], []), *before, *after)
    past = [epoch(*report, second=number) for number, report in enumerate(before)]
    restarted = decisions(Rungs(RECIPE, reversed(past), []), *after)
    assert restarted == whole[3:]


def test_a_trial_that_goes_on_after_a_restart_is_judged_at_its_next_rung():
    rungs = Rungs(RECIPE, [epoch("a", 2, 60), epoch("b", 4, 90, second=1)], [])
    assert decisions(rungs, ("a", 3, 61), ("a", 4, 62)) == ["CONTINUE", "STOP"]


def test_diverged_epochs_are_not_put_on_a_rung():
    restarted = Rungs(RECIPE, [epoch("nan", 2, None)], [])
    live = Rungs(RECIPE, [], [])
    live.on_trial_add(None, trial("nan"))
    live.on_trial_complete(None, trial("nan"), {"epoch": 2, "top1": 0.0, "diverged": True})
    assert decisions(live, ("a", 2, -1)) == decisions(restarted, ("a", 2, -1)) == ["CONTINUE"]


def test_a_trial_whose_stop_was_lost_is_due_after_a_restart():
    past = [epoch("a", 2, 60), epoch("b", 2, 40, second=1), epoch("paper", 2, 30, second=2), epoch("c", 1, 0, second=3)]
    past += [epoch("finished", 8, 1, second=4)]
    assert Rungs(RECIPE, past, {"paper"}).due == {"b"}


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


def test_a_recipe_shorter_than_its_first_rung_stops_nobody_early():
    rungs = Rungs(replace(RECIPE, stop_epoch=1), [], [])
    assert decisions(rungs, ("a", 1, 5)) == ["STOP"]  # its budget


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
