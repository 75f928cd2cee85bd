import math
from dataclasses import replace

import pytest
import torch

from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.training import make_trainer
from trainers.checkpoint import load_checkpoint, save_checkpoint

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def curve(trainer):
    return [(epoch.epoch, epoch.train_loss, epoch.val_loss, epoch.top1, epoch.lr) for epoch in trainer.history]


def trained(*args, **kwargs):
    trainer = make_trainer(*args, **kwargs)
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


@pytest.mark.parametrize(
    "changes", [{"optimizer": "adamw"}, {"optimizer": "lamb", "ema_decay": 0.9}, {"clip_grad": 0.5}]
)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(shapes, quick, tmp_path, changes):
    recipe = replace(quick, **changes)
    whole = trained(CANDIDATE, recipe, shapes, 0)
    next(make_trainer(CANDIDATE, recipe, shapes, 0, Folder(tmp_path)).epochs())
    torch.rand(5)  # the state of the global generator must not matter
    resumed = make_trainer(CANDIDATE, recipe, shapes, 0, Folder(tmp_path))
    assert [epoch.epoch for epoch in resumed.epochs()] == [2, 3]
    assert curve(resumed) == curve(whole)
    assert torch.equal(weights(resumed), weights(whole))
    for name, tensor in (whole.training_model.average_state() or {}).items():
        assert torch.equal(resumed.training_model.average_state()[name], tensor)


def test_averaged_weights_follow_every_step_and_change_nothing_else(shapes, quick):
    plain = trained(CANDIDATE, quick, shapes, 0)
    trainer = make_trainer(CANDIDATE, replace(quick, ema_decay=0.5), shapes, 0)
    name = "head.fc.fc2.weight"
    expected = None
    step = trainer.step
    seen = []

    def step_and_look(batches):
        loss = step(batches)
        seen.append(trainer.model.state_dict()[name].clone())
        return loss

    trainer.step = step_and_look
    list(trainer.epochs())
    for number, newest in enumerate(seen):
        decay = 0.0 if number == 0 else min(0.5, 1 - (1 + number) ** (-2 / 3))  # timm's warm-up of the decay
        expected = newest if expected is None else decay * expected + (1 - decay) * newest
    assert torch.allclose(trainer.training_model.average_state()[name], expected, atol=1e-6)
    assert curve(trainer) == curve(plain)
    assert all(0 <= epoch.ema_top1 <= 100 for epoch in trainer.history)
    assert [epoch.ema_top1 for epoch in plain.history] == [None] * 3


def test_the_averages_test_top1_is_kept_beside_the_models(shapes, quick, tmp_path):
    recipe = replace(quick, ema_decay=0.5)
    trainer = trained(CANDIDATE, recipe, shapes, 0, Folder(tmp_path))
    trainer.test()
    again = make_trainer(CANDIDATE, recipe, shapes, 0, Folder(tmp_path))
    assert (again.test_top1, again.ema_test_top1) == (trainer.test_top1, trainer.ema_test_top1)
    assert again.ema_test_top1 is not None


def test_a_finished_run_has_nothing_left_to_train(shapes, quick, tmp_path):
    trained(CANDIDATE, quick, shapes, 0, Folder(tmp_path))
    again = make_trainer(CANDIDATE, quick, shapes, 0, Folder(tmp_path))
    assert again.finished
    assert list(again.epochs()) == []


def trained_for_two_epochs(shapes, recipe, folder):
    trainer = make_trainer(CANDIDATE, recipe, shapes, 0, folder)
    for epoch in trainer.epochs():
        if epoch.epoch == 2:
            return trainer


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(shapes, quick, tmp_path):
    trained_for_two_epochs(shapes, quick, Folder(tmp_path))
    (tmp_path / "epoch-0002" / "model.safetensors").write_bytes(b"half")
    resumed = make_trainer(CANDIDATE, quick, shapes, 0, Folder(tmp_path))
    assert len(resumed.history) == 1
    list(resumed.epochs())
    assert torch.equal(weights(resumed), weights(trained(CANDIDATE, quick, shapes, 0)))


def test_an_intact_checkpoint_that_does_not_fit_is_an_error_in_one_line(shapes, quick, tmp_path):
    folder = Folder(tmp_path)
    trained_for_two_epochs(shapes, quick, folder)
    checkpoint = load_checkpoint(folder, torch.device("cpu"))
    del checkpoint.model["stem.conv.weight"]
    save_checkpoint(folder, checkpoint, keep=2)
    with pytest.raises(
        ValueError, match=r"^the checkpoint of epoch 2 in .* does not fit: .*stem\.conv\.weight"
    ) as error:
        make_trainer(CANDIDATE, quick, shapes, 0, folder)
    assert "\n" not in str(error.value)


def test_where_every_checkpoint_is_damaged_training_begins_anew(shapes, quick, tmp_path):
    trained(CANDIDATE, quick, shapes, 0, Folder(tmp_path))
    (tmp_path / "epoch-0003" / "model.safetensors").write_bytes(b"half")
    again = trained(CANDIDATE, quick, shapes, 0, Folder(tmp_path))
    assert torch.equal(weights(again), weights(trained(CANDIDATE, quick, shapes, 0)))


@pytest.mark.parametrize("other", [{"seed": 1}, {"candidate": Candidate.parse("caformer_micro-ska-ska-ska-ska")}])
def test_the_checkpoints_of_another_trial_are_refused(shapes, quick, tmp_path, other):
    trained(CANDIDATE, quick, shapes, 0, Folder(tmp_path))
    with pytest.raises(ValueError, match=r"holds checkpoints of \{'candidate': .*, expected"):
        make_trainer(
            **{"candidate": CANDIDATE, "recipe": quick, "data": shapes, "seed": 0, "folder": Folder(tmp_path), **other}
        )


def test_two_checkpoints_are_kept_then_one_and_nothing_is_pickled(shapes, quick, tmp_path):
    def names():
        return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())

    files = ["model.safetensors", "optimizer.safetensors", "trainer.json"]
    trained_for_two_epochs(shapes, quick, Folder(tmp_path))
    assert names() == [f"epoch-000{epoch}/{file}" for epoch in (1, 2) for file in files]
    trained(CANDIDATE, quick, shapes, 0, Folder(tmp_path))
    assert names() == [f"epoch-0003/{file}" for file in files]


def test_stopping_early_keeps_the_schedule(shapes, quick):
    whole, cut = trained(CANDIDATE, quick, shapes, 0), trained(CANDIDATE, quick.cut(2), shapes, 0)
    assert curve(cut) == curve(whole)[:2]


def test_not_asking_for_the_next_epoch_stops_the_training(shapes, quick):
    trainer = make_trainer(CANDIDATE, quick, shapes, 0)
    next(trainer.epochs())
    assert len(trainer.history) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_diverged_run_ends_at_its_first_bad_epoch(shapes, quick):
    trainer = make_trainer(CANDIDATE, quick, shapes, 0)
    with torch.no_grad():
        trainer.model.head.fc.fc2.weight.fill_(math.nan)
    epochs = list(trainer.epochs())
    assert [epoch.diverged for epoch in epochs] == [True]
    assert math.isnan(epochs[0].top1)


@pytest.mark.filterwarnings("ignore")
def test_a_last_step_that_diverges_is_noticed_at_its_own_epoch(shapes, quick):
    recipe = replace(quick, lr=1e30, warmup_epochs=0, batch_size=64)  # one step an epoch, and its loss is still finite
    epochs = list(make_trainer(CANDIDATE, recipe, shapes, 0).epochs())
    assert [(math.isfinite(epoch.train_loss), epoch.diverged) for epoch in epochs] == [(True, True)]


def test_validation_images_come_from_the_training_data_and_are_the_same_for_every_seed(shapes, quick):
    one, other = make_trainer(CANDIDATE, quick, shapes, 0), make_trainer(CANDIDATE, quick, shapes, 1)
    assert torch.equal(one.loader.val_images, other.loader.val_images)
    pixels = {image.numpy().tobytes() for image in torch.cat([one.loader.train_images, one.loader.val_images])}
    assert pixels == {image.transpose(2, 0, 1).tobytes() for image in shapes.train_images}
    assert len(one.loader.val_labels) == math.ceil(0.15 * 64)


def test_clipping_bounds_the_gradient(shapes, quick):
    trainer = make_trainer(CANDIDATE, replace(quick, clip_grad=1e-3), shapes, 0)
    trainer.step([(trainer.loader.normalise(trainer.loader.train_images[:16]), trainer.loader.train_labels[:16])])
    norm = torch.cat([p.grad.flatten() for p in trainer.model.parameters()]).norm().item()
    assert norm == pytest.approx(1e-3, rel=1e-3)
