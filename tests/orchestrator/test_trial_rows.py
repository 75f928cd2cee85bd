from orchestrator.trial_rows import end_status, epoch_rows, trial_row
from tests.support.studies import trial_record


def report(epochs, **last):
    """What a trial reports; `last` changes its last epoch."""
    epoch = {"train_loss": 1.0, "val_loss": 2.0, "top1": 90.0, "lr": 0.1, "seconds": 2.0, "finished_at": 0}
    history = [{**epoch, "epoch": number} for number in range(1, epochs + 1)]
    history[-1] |= last
    return {
        "epoch": epochs,
        "history": history,
        "test_top1": 89.0,
        "device": "CPU",
        "torch": "2",
        "ranks": 1,
        "micro_batch": 128,
        "accumulation": 2,
        "diverged": False,
        "finished": False,
        "note": None,
    }


def test_a_trials_row_has_what_was_reported():
    row = trial_row(trial_record(), report(2, top1=95.0))
    assert (row.status, row.epoch, row.top1, row.test_top1, row.seconds) == ("running", 2, 95.0, 89.0, 4.0)
    assert (row.ranks, row.micro_batch, row.accumulation) == (1, 128, 2)


def test_each_epoch_has_a_row():
    rows = epoch_rows(trial_record(), report(2))
    assert [(row.key, row.seed, row.epoch) for row in rows] == [(trial_record().key, 0, 1), (trial_record().key, 0, 2)]


def test_numbers_that_are_not_finite_become_null():
    bad = report(1, top1=float("nan"), train_loss=float("inf"), val_loss=float("nan"))
    assert trial_row(trial_record(), bad).top1 is None
    (row,) = epoch_rows(trial_record(), bad)
    assert (row.train_loss, row.val_loss, row.top1) == (None, None, None)


def test_how_a_trial_ends():
    assert end_status(report(2)) == "paused"
    assert end_status({**report(2), "finished": True}) == "done"
    assert end_status({**report(2), "finished": True, "diverged": True}) == "diverged"
