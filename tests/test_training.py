import math
from dataclasses import replace

import pytest
import torch

from searchspace.candidate import Candidate
from trainers.checkpoint import load_checkpoint
from trainers.training import Trainer

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def curve(trainer):
    return [(epoch.epoch, epoch.train_loss, epoch.val_loss, epoch.top1, epoch.lr) for epoch in trainer.history]


def trained(*args, **kwargs):
    trainer = Trainer(*args, **kwargs)
    list(trainer.epochs())
    return trainer


def test_it_learns_what_is_easy(shapes, quick):
    trainer = trained(CANDIDATE, replace(quick, epochs=6), shapes, seed=0)
    assert trainer.test() == 100


def test_one_seed_is_one_result_and_another_seed_another(shapes, quick):
    one, same, other = (trained(CANDIDATE, quick, shapes, seed) for seed in (0, 0, 1))
    assert curve(one) == curve(same)
    assert torch.equal(weights(one), weights(same))
    assert curve(one) != curve(other)


@pytest.mark.parametrize("changes", [{"optimizer": "adamw"}, {"optimizer": "lamb"}, {"clip_grad": 0.5}])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(shapes, quick, tmp_path, changes):
    recipe = replace(quick, **changes)
    whole = trained(CANDIDATE, recipe, shapes, 0)
    next(Trainer(CANDIDATE, recipe, shapes, 0, tmp_path).epochs())
    torch.rand(5)  # the state of the global generator must not matter
    resumed = Trainer(CANDIDATE, recipe, shapes, 0, tmp_path)
    assert [epoch.epoch for epoch in resumed.epochs()] == [2, 3]
    assert curve(resumed) == curve(whole)
    assert torch.equal(weights(resumed), weights(whole))


def test_a_finished_run_has_nothing_left_to_train(shapes, quick, tmp_path):
    trained(CANDIDATE, quick, shapes, 0, tmp_path)
    again = Trainer(CANDIDATE, quick, shapes, 0, tmp_path)
    assert again.finished
    assert list(again.epochs()) == []


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(shapes, quick, tmp_path):
    trained(CANDIDATE, quick, shapes, 0, tmp_path)
    (tmp_path / "epoch-0003" / "model.safetensors").write_bytes(b"half")
    assert len(Trainer(CANDIDATE, quick, shapes, 0, tmp_path).history) == 2


def test_two_checkpoints_are_kept_and_nothing_is_pickled(shapes, quick, tmp_path):
    trained(CANDIDATE, quick, shapes, 0, tmp_path)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    files = ["model.safetensors", "optimizer.safetensors", "trainer.json"]
    assert names == [f"epoch-000{epoch}/{file}" for epoch in (2, 3) for file in files]


def test_no_checkpoint_is_no_state(tmp_path):
    assert load_checkpoint(tmp_path, torch.device("cpu")) is None


def test_stopping_early_keeps_the_schedule(shapes, quick):
    whole, cut = trained(CANDIDATE, quick, shapes, 0), trained(CANDIDATE, quick.cut(2), shapes, 0)
    assert curve(cut) == curve(whole)[:2]


def test_not_asking_for_the_next_epoch_stops_the_training(shapes, quick):
    trainer = Trainer(CANDIDATE, quick, shapes, 0)
    next(trainer.epochs())
    assert len(trainer.history) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_diverged_run_ends_at_its_first_bad_epoch(shapes, quick):
    trainer = Trainer(CANDIDATE, quick, shapes, 0)
    with torch.no_grad():
        trainer.model.head.fc.fc2.weight.fill_(math.nan)
    epochs = list(trainer.epochs())
    assert [epoch.diverged for epoch in epochs] == [True]
    assert math.isnan(epochs[0].top1)


def test_validation_images_come_from_the_training_data_and_are_the_same_for_every_seed(shapes, quick):
    one, other = Trainer(CANDIDATE, quick, shapes, 0), Trainer(CANDIDATE, quick, shapes, 1)
    assert torch.equal(one.val_images, other.val_images)
    pixels = {image.numpy().tobytes() for image in torch.cat([one.train_images, one.val_images])}
    assert pixels == {image.transpose(2, 0, 1).tobytes() for image in shapes.train_images}
    assert len(one.val_labels) == math.ceil(0.15 * 64)


def test_clipping_bounds_the_gradient(shapes, quick):
    trainer = Trainer(CANDIDATE, replace(quick, clip_grad=1e-3), shapes, 0)
    trainer.step(trainer.train_images[:16], trainer.train_labels[:16])
    norm = torch.cat([p.grad.flatten() for p in trainer.model.parameters()]).norm().item()
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_a_trial_reports_its_whole_history_and_reads_the_test_images_at_the_end(shapes, quick, tmp_path):
    from trainers.trial import Trial

    trial = Trial()
    config = {"trial": {"key": "k", "candidate": str(CANDIDATE), "seed": 3}}
    trial.setup(config, data=shapes, recipe=quick, checkpoints=tmp_path, threads=1)
    results = [trial.step() for _ in range(3)]
    assert repr(trial) == "caformer_micro-dwconv-cska-ska-attn seed 3"
    assert [len(result["history"]) for result in results] == [1, 2, 3]
    assert [result["test_top1"] is not None for result in results] == [False, False, True]
    assert [result["done"] for result in results] == [False, False, True]

    again = Trial()
    again.setup(config, data=shapes, recipe=quick, checkpoints=tmp_path, threads=1)
    assert again.step() == results[-1]
