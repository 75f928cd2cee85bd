"""Warm start: which weights are shared, which are new, and in which order they are trained."""

import json
import re
from dataclasses import replace
from itertools import islice, pairwise

import pytest
import torch
from safetensors.torch import save_file

from searchspace.backbones import build
from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.training import curve, make_trainer
from trainers import warm_start
from trainers.resources import Resources
from trainers.run_trial import run_trial
from trainers.trial_task import TrainingSetup, TrialTask
from trainers.warm_start import Weights, freeze, load_shared_weights, load_weights

BASE = "dwconv-dwconv-attn-attn"


def micro(placement, img_size=16, classes=2, channels=1, seed=0):
    torch.manual_seed(seed)
    candidate = Candidate.parse(f"caformer_micro-{placement}")
    return candidate, build(candidate, img_size, in_chans=channels, num_classes=classes)


def weights_of(placement, **kwargs):
    """Weights whose norms and scales differ from those of a new model too."""
    candidate, model = micro(placement, seed=1, **kwargs)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape))
    return Weights(str(candidate), str(candidate), {name: t.clone() for name, t in model.state_dict().items()})


def assert_shared(placement, model, weights, new):
    """Every tensor equals the weights', except the new ones, which equal those of a model without weights."""
    random_state = micro(placement)[1].state_dict()
    for name, tensor in model.state_dict().items():
        expected = random_state[name] if name in new else weights.tensors[name].reshape(tensor.shape)
        assert torch.equal(tensor, expected), name


def test_the_same_candidate_shares_everything():
    weights = weights_of(BASE)
    candidate, model = micro(BASE)
    assert load_shared_weights(model, candidate, weights) == set()
    source = micro(BASE)[1]
    source.load_state_dict(weights.tensors)
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(model.eval()(images), source.eval()(images))


CSKA = {"qv.weight", "proj.weight", "weight", "bias"}
SKA = {"qv.weight", "proj.weight", "key"}
ATTN = {"qkv.weight", "proj.weight"}
DWCONV = {"pwconv1.weight", "act1.scale", "act1.bias", "dwconv.weight", "pwconv2.weight"}


@pytest.mark.parametrize(
    ("placement", "new"),
    [
        ("dwconv-cska-attn-attn", {(1, 0): CSKA}),
        ("dwconv-dwconv-ska-attn", {(2, 0): SKA, (2, 1): SKA}),  # both have a proj, of one shape
        ("dwconv-dwconv-attn-dwconv", {(3, 0): DWCONV}),
        ("attn-dwconv-attn-attn", {(0, 0): ATTN}),
        ("dwconv-dwconv-attn.h2-attn", {(2, 0): ATTN, (2, 1): ATTN}),  # the very same shapes
    ],
)
def test_only_replaced_mixers_are_new(placement, new):
    weights, (candidate, model) = weights_of(BASE), micro(placement)
    names = {f"stages.{s}.blocks.{b}.token_mixer.{name}" for (s, b), leaves in new.items() for name in leaves}
    assert load_shared_weights(model, candidate, weights) == names
    assert_shared(placement, model, weights, names)


def test_other_images_and_classes_have_a_new_stem_and_last_layer():
    weights, (candidate, model) = weights_of(BASE, channels=3, classes=10), micro(BASE)
    stem = {name for name, _ in model.named_parameters() if name.startswith("stem.")}
    new = load_shared_weights(model, candidate, weights)
    assert new == stem | {"head.fc.fc2.weight", "head.fc.fc2.bias"}
    assert_shared(BASE, model, weights, new)


def test_a_mixer_with_another_switch_is_new():
    weights = weights_of("dwconv-cska.h4-ska-attn")
    candidate, model = micro("dwconv-cska.h4-ska.noscale-attn")
    new = load_shared_weights(model, candidate, weights)
    assert new == {f"stages.2.blocks.{block}.token_mixer.{name}" for block in (0, 1) for name in SKA}
    assert_shared("dwconv-cska.h4-ska.noscale-attn", model, weights, new)


def test_a_file_in_which_q_and_v_are_two_matrices_is_shared_whole(tmp_path):
    weights = weights_of("dwconv-ska-attn-attn")
    older = dict(weights.tensors)
    matrix = older.pop("stages.1.blocks.0.token_mixer.qv.weight")
    for name, half in zip("qv", matrix.chunk(2), strict=True):
        older[f"stages.1.blocks.0.token_mixer.{name}.weight"] = half.contiguous()
    save_file(older, tmp_path / "older.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"origin": {"candidate": weights.candidate}}))
    loaded = load_weights(str(tmp_path / "older.safetensors"), "caformer_micro")
    candidate, model = micro("dwconv-ska-attn-attn")
    assert load_shared_weights(model, candidate, loaded) == set()
    assert torch.equal(model.stages[1].blocks[0].token_mixer.qv.weight, matrix)


def test_static_keys_of_another_image_size_are_resized():
    weights, (candidate, model) = weights_of("dwconv-ska-attn-attn"), micro("dwconv-ska-attn-attn", img_size=32)
    assert load_shared_weights(model, candidate, weights) == set()
    name = "stages.1.blocks.0.token_mixer.key"
    assert model.state_dict()[name].shape == (2, 8, 8, 16)
    assert weights.tensors[name].shape == (2, 4, 4, 16)
    assert model.state_dict()[name].mean().item() == pytest.approx(weights.tensors[name].mean().item(), abs=0.02)


def test_a_mixer_that_the_file_lacks_is_new():
    weights, (candidate, model) = weights_of("dwconv-cska-attn-attn"), micro(BASE)
    unknown = Weights("unknown", f"caformer_micro-{BASE}", weights.tensors)
    new = load_shared_weights(model, candidate, unknown)
    assert new == {f"stages.1.blocks.0.token_mixer.{name}" for name in DWCONV}
    assert_shared(BASE, model, weights, new)


def test_freezing_leaves_the_named_parameters_trainable():
    model = micro("dwconv-ska-attn-attn")[1]
    freeze(model, {"stem.conv.weight"})
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == {"stem.conv.weight"}


def test_freezing_all_but_nothing_freezes_nothing():
    model = micro(BASE)[1]
    freeze(model, {"stem.conv.weight"})
    freeze(model, set())
    assert all(parameter.requires_grad for parameter in model.parameters())


class Downloaded:
    """timm.create_model without a network."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(warm_start.timm, "create_model", self)
        self.asked = []

    def __call__(self, name, pretrained):
        self.asked.append((name, pretrained))
        torch.manual_seed(5)
        return build(Candidate.parse(f"caformer_s18-{BASE}"))


def test_pretrained_loads_timms_weights(monkeypatch):
    downloaded = Downloaded(monkeypatch)
    weights = load_weights("pretrained", "caformer_s18")
    assert downloaded.asked == [("caformer_s18.sail_in1k", True)]
    assert str(weights) == f"caformer_s18.sail_in1k-{weights.fingerprint}"
    candidate = Candidate.parse("caformer_s18-dwconv-cska-attn-attn")
    model = build(candidate, num_classes=10)
    new = load_shared_weights(model, candidate, weights)
    mixers = {f"stages.1.blocks.{block}.token_mixer.{name}" for block in range(3) for name in CSKA}
    assert new == mixers | {"head.fc.fc2.weight", "head.fc.fc2.bias"}
    linear, conv = (tensors["stages.1.blocks.0.mlp.fc1.weight"] for tensors in (model.state_dict(), weights.tensors))
    assert torch.equal(linear, conv[:, :, 0, 0])


def test_our_baselines_have_timms_parameter_names():
    import timm

    for backbone, tag in warm_start.PRETRAINED.items():
        assert tag in timm.list_pretrained(f"{backbone}*")
        theirs = timm.create_model(tag, pretrained=False, device="meta").state_dict()
        ours = build(Candidate.parse(f"{backbone}-{BASE}"), device=torch.device("meta")).state_dict()
        assert {name: tensor.shape for name, tensor in theirs.items()} == {name: t.shape for name, t in ours.items()}


def test_a_failed_download_suggests_a_file(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no hub\nmany lines")

    monkeypatch.setattr(warm_start.timm, "create_model", fail)
    with pytest.raises(OSError, match=r"^caformer_s18.sail_in1k cannot be downloaded; .*\.safetensors file.*: no hub$"):
        load_weights("pretrained", "caformer_s18")


def test_the_candidate_of_a_file_is_read_from_the_json_beside_it(tmp_path):
    weights = weights_of("dwconv-cska.h4-attn-attn")
    save_file(weights.tensors, tmp_path / "model.safetensors")
    file = str(tmp_path / "model.safetensors")
    assert load_weights(file, "caformer_micro").candidate == f"caformer_micro-{BASE}"
    for name in ("trainer.json", "config.json"):
        (tmp_path / name).write_text(json.dumps({"origin": {"candidate": weights.candidate}}))
        read = load_weights(file, "caformer_micro")
        assert (read.candidate, read.fingerprint) == (weights.candidate, weights.fingerprint)
        (tmp_path / name).write_text("[]")


def test_the_fingerprint_depends_on_bytes_shapes_names_and_the_candidate():
    one = weights_of(BASE)
    changed = {**one.tensors, "head.norm.weight": one.tensors["head.norm.weight"] + 1e-6}
    flat = {**one.tensors, "stem.conv.weight": one.tensors["stem.conv.weight"].flatten()}
    renamed = {name.replace("head.norm", "norm"): tensor for name, tensor in one.tensors.items()}
    others = [Weights("w", one.candidate, tensors) for tensors in (one.tensors, changed, flat, renamed)]
    others.append(Weights("w", "caformer_micro-ska-ska-ska-ska", one.tensors))
    assert others[0].fingerprint == one.fingerprint
    assert len({each.fingerprint for each in others}) == 5
    assert all(re.fullmatch("[0-9a-f]{8}", each.fingerprint) for each in others)


def test_weights_are_pickled_as_bytes():
    weights = weights_of(BASE)
    rebuild, content = weights.__reduce__()
    assert [type(part) for part in content] == [str, str, bytes]
    assert (rebuild(*content).candidate, rebuild(*content).fingerprint) == (weights.candidate, weights.fingerprint)


@pytest.mark.parametrize(
    ("init", "backbone", "wanted"),
    [
        ("pretrained", "caformer_micro", "timm has no weights of caformer_micro, .*: name a .safetensors file instead"),
        ("nowhere.safetensors", "caformer_micro", "no weights at .*nowhere.safetensors, expected pretrained, or"),
        ("model.pth", "caformer_micro", "weights from .*model.pth, expected pretrained, or a .safetensors file"),
        ("text.safetensors", "caformer_micro", "text.safetensors is no safetensors file: "),
        ("empty.safetensors", "caformer_micro", "empty.safetensors is no safetensors file: "),
        ("folder.safetensors", "caformer_micro", "folder.safetensors"),
        ("micro.safetensors", "caformer_s18", r"is not of caformer_s18: 10 of the 147 tensors of its frame match"),
        ("other.safetensors", "caformer_micro", r"is not of caformer_micro: 0 of the 51 tensors of its frame match"),
    ],
)
def test_wrong_weights_are_refused_in_one_line(tmp_path, init, backbone, wanted):
    (tmp_path / "model.pth").touch()
    (tmp_path / "text.safetensors").write_text("no tensors here, only words")
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "folder.safetensors").mkdir()
    save_file(weights_of(BASE).tensors, tmp_path / "micro.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises((ValueError, OSError), match=wanted) as error:
        load_weights(init if init == "pretrained" else str(tmp_path / init), backbone)
    assert "\n" not in str(error.value)


CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-attn-attn")
STAGE_2 = "stages.1.blocks.0.token_mixer."


@pytest.fixture
def finetune(quick):
    """Two epochs that train only the new mixer, then one that trains everything."""
    return replace(quick, mixers_first=2, init="known")


def begin(recipe, data, weights, folder=None, candidate=CANDIDATE):
    recipe = replace(recipe, init=str(weights) if weights else None)
    return make_trainer(candidate, recipe, data, 0, folder, weights=weights)


def tensors(trainer):
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def test_the_first_epochs_train_only_new_parameters(shapes, finetune):
    trainer = begin(finetune, shapes, weights_of(BASE))
    states = [tensors(trainer), *(tensors(trainer) for _ in trainer.epochs())]
    moved = [
        {name for name in later if not torch.equal(earlier[name], later[name])} for earlier, later in pairwise(states)
    ]
    assert moved == [{STAGE_2 + name for name in CSKA}] * 2 + [set(trainer.model.state_dict())]


def test_without_new_parameters_all_are_trained_from_the_start(shapes, finetune):
    weights = weights_of(BASE)
    trainer = begin(finetune, shapes, weights, candidate=Candidate.parse(weights.candidate))
    before = tensors(trainer)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights.tensors.items())
    next(trainer.epochs())
    assert not any(torch.equal(before[name], tensor) for name, tensor in tensors(trainer).items())


@pytest.mark.parametrize(("optimizer", "interrupted"), [("adamw", 1), ("adamw", 2), ("lamb", 1), ("lamb", 2)])
def test_a_resumed_warm_run_equals_an_uninterrupted_one(shapes, finetune, tmp_path, optimizer, interrupted):
    recipe, weights = replace(finetune, optimizer=optimizer), weights_of(BASE)
    whole = begin(recipe, shapes, weights)
    losses = [epoch.train_loss for epoch in whole.epochs()]
    for _ in islice(begin(recipe, shapes, weights, Folder(tmp_path)).epochs(), interrupted):
        pass
    resumed = begin(recipe, shapes, weights, Folder(tmp_path))
    assert [epoch.train_loss for epoch in resumed.epochs()] == losses[interrupted:]
    assert all(torch.equal(tensor, tensors(whole)[name]) for name, tensor in tensors(resumed).items())


@pytest.mark.slow
def test_two_ranks_agree_with_one(shapes, finetune, tmp_path):
    """Which gradients the ranks exchange changes after the second epoch."""
    recipe = replace(finetune, drop_path=0.0)  # its draws differ between ranks
    task = TrialTask(key="k", candidate=CANDIDATE, seed=0, until=3)
    setup = TrainingSetup(recipe=recipe, data=shapes, resources=Resources(), checkpoints=None, weights=weights_of(BASE))
    alone = curve(run_trial(task, setup))
    together = curve(run_trial(task, replace(setup, resources=Resources(ranks=2))))
    assert together == [pytest.approx(row, rel=1e-3) for row in alone]


def test_a_warm_start_beats_random_weights(shapes, quick, tmp_path):
    """One short epoch is enough with the weights of a trained baseline, and too little without."""
    folder = Folder(tmp_path)
    candidate = Candidate.parse(f"caformer_micro-{BASE}")
    baseline = begin(replace(quick, epochs=6), shapes, None, folder, candidate)
    list(baseline.epochs())
    weights = load_weights(str(tmp_path / "epoch-0006" / "model.safetensors"), "caformer_micro")
    assert weights.candidate == f"caformer_micro-{BASE}"
    recipe = replace(quick, epochs=1, warmup_epochs=0, mixers_first=1, lr=1e-4)
    with_weights, without = (next(begin(recipe, shapes, start).epochs()).val_loss for start in (weights, None))
    assert with_weights < without / 2
