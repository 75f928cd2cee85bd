"""Warm start: what is taken over, what is new, and in which order it is trained."""

import json
import re
from dataclasses import replace
from itertools import islice, pairwise, product

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks import warm_ranks
from orchestrate import main as orchestrate
from orchestrate import parser as command_line
from orchestrator.plan import make_plan
from results.report.write_report import make_report
from searchspace.backbones import build
from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.studies import trial_record
from tests.support.training import curve
from trainers import warm_start as warm
from trainers.__main__ import main as trainers_main
from trainers.resources import Resources
from trainers.run_trial import run_trial
from trainers.trainer import Trainer
from trainers.trial_task import Failure, TrainingSetup, TrialTask
from trainers.warm_start import Weights, freeze, load_shared_weights, load_weights

BASE = "dwconv-dwconv-attn-attn"


def micro(placement, img_size=16, classes=2, channels=1, seed=0):
    torch.manual_seed(seed)
    candidate = Candidate.parse(f"caformer_micro-{placement}")
    return candidate, build(candidate, img_size, in_chans=channels, num_classes=classes)


def weights_of(placement, **kwargs):
    candidate, model = micro(placement, seed=1, **kwargs)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape))  # norms and scales too differ from those of a fresh model
    return Weights(str(candidate), str(candidate), {name: t.clone() for name, t in model.state_dict().items()})


def check_split(model, fresh_model, weights, fresh):
    """Everything is the weights' own, but for what is fresh and as it was drawn."""
    drawn = fresh_model.state_dict()
    for name, tensor in model.state_dict().items():
        wanted = drawn[name] if name in fresh else weights.tensors[name].reshape(tensor.shape)
        assert torch.equal(tensor, wanted), name


def test_the_baseline_takes_all_and_computes_what_its_source_does():
    weights = weights_of(BASE)
    candidate, model = micro(BASE)
    assert load_shared_weights(model, candidate, weights) == set()
    source = micro(BASE)[1]
    source.load_state_dict(weights.tensors)
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(model.eval()(images), source.eval()(images))


CSKA = {"q.weight", "v.weight", "proj.weight", "weight", "bias"}
SKA = {"q.weight", "v.weight", "proj.weight", "key"}
ATTN = {"qkv.weight", "proj.weight"}
DWCONV = {"pwconv1.weight", "act1.scale", "act1.bias", "dwconv.weight", "pwconv2.weight"}


@pytest.mark.parametrize(
    ("placement", "fresh"),
    [
        ("dwconv-cska-attn-attn", {(1, 0): CSKA}),
        ("dwconv-dwconv-ska-attn", {(2, 0): SKA, (2, 1): SKA}),  # both have a proj, of one shape
        ("dwconv-dwconv-attn-dwconv", {(3, 0): DWCONV}),
        ("attn-dwconv-attn-attn", {(0, 0): ATTN}),
        ("dwconv-dwconv-attn.h2-attn", {(2, 0): ATTN, (2, 1): ATTN}),  # the very same shapes
    ],
)
def test_what_a_candidate_replaces_is_fresh_and_all_else_is_taken(placement, fresh):
    weights, (candidate, model) = weights_of(BASE), micro(placement)
    names = {f"stages.{s}.blocks.{b}.token_mixer.{name}" for (s, b), leaves in fresh.items() for name in leaves}
    assert load_shared_weights(model, candidate, weights) == names
    check_split(model, micro(placement)[1], weights, names)


def test_gray_images_and_other_classes_leave_stem_and_last_layer_fresh():
    weights, (candidate, model) = weights_of(BASE, channels=3, classes=10), micro(BASE)
    stem = {name for name, _ in model.named_parameters() if name.startswith("stem.")}
    fresh = load_shared_weights(model, candidate, weights)
    assert fresh == stem | {"head.fc.fc2.weight", "head.fc.fc2.bias"}
    check_split(model, micro(BASE)[1], weights, fresh)


def test_weights_of_the_same_static_mixer_keep_it_and_of_another_do_not():
    weights = weights_of("dwconv-cska.h4-ska-attn")
    candidate, model = micro("dwconv-cska.h4-ska.noscale-attn")
    fresh = load_shared_weights(model, candidate, weights)
    assert fresh == {f"stages.2.blocks.{block}.token_mixer.{name}" for block in (0, 1) for name in SKA}
    check_split(model, micro("dwconv-cska.h4-ska.noscale-attn")[1], weights, fresh)


def test_static_keys_of_another_image_size_are_resized():
    weights, (candidate, model) = weights_of("dwconv-ska-attn-attn"), micro("dwconv-ska-attn-attn", img_size=32)
    assert load_shared_weights(model, candidate, weights) == set()
    name = "stages.1.blocks.0.token_mixer.key"
    assert model.state_dict()[name].shape == (2, 8, 8, 16)
    assert weights.tensors[name].shape == (2, 4, 4, 16)
    assert model.state_dict()[name].mean().item() == pytest.approx(weights.tensors[name].mean().item(), abs=0.02)


def test_a_file_that_lacks_a_mixer_leaves_it_fresh():
    weights, (candidate, model) = weights_of("dwconv-cska-attn-attn"), micro(BASE)
    unknown = Weights("unknown", f"caformer_micro-{BASE}", weights.tensors)
    fresh = load_shared_weights(model, candidate, unknown)
    assert fresh == {f"stages.1.blocks.0.token_mixer.{name}" for name in DWCONV}
    check_split(model, micro(BASE)[1], weights, fresh)


def test_only_what_is_fresh_is_trained_unless_nothing_is():
    candidate, model = micro("dwconv-ska-attn-attn")
    fresh = load_shared_weights(model, candidate, weights_of(BASE))
    for chosen, trained in ((fresh, fresh), (None, set(model.state_dict())), (set(), set(model.state_dict()))):
        freeze(model, chosen)
        assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == trained


class Downloaded:
    """timm.create_model without a network."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(warm.timm, "create_model", self)
        self.asked = []

    def __call__(self, name, pretrained):
        self.asked.append((name, pretrained))
        torch.manual_seed(5)
        return build(Candidate.parse(f"caformer_s18-{BASE}"))


def test_pretrained_is_timms_model_of_the_backbone(monkeypatch):
    downloaded = Downloaded(monkeypatch)
    weights = load_weights("pretrained", "caformer_s18")
    assert downloaded.asked == [("caformer_s18.sail_in1k", True)]
    assert str(weights) == f"caformer_s18.sail_in1k-{weights.fingerprint}"
    candidate = Candidate.parse("caformer_s18-dwconv-cska-attn-attn")
    model = build(candidate, num_classes=10)
    fresh = load_shared_weights(model, candidate, weights)
    mixers = {f"stages.1.blocks.{block}.token_mixer.{name}" for block in range(3) for name in CSKA}
    assert fresh == mixers | {"head.fc.fc2.weight", "head.fc.fc2.bias"}
    linear, conv = (tensors["stages.1.blocks.0.mlp.fc1.weight"] for tensors in (model.state_dict(), weights.tensors))
    assert torch.equal(linear, conv[:, :, 0, 0])


def test_timms_names_are_those_that_are_expected():
    import timm

    for backbone, tag in warm.PRETRAINED.items():
        assert tag in timm.list_pretrained(f"{backbone}*")
        theirs = timm.create_model(tag, pretrained=False, device="meta").state_dict()
        ours = build(Candidate.parse(f"{backbone}-{BASE}"), device=torch.device("meta")).state_dict()
        assert {name: tensor.shape for name, tensor in theirs.items()} == {name: t.shape for name, t in ours.items()}


def test_a_failed_download_is_one_line_that_offers_a_file(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no hub\nmany lines")

    monkeypatch.setattr(warm.timm, "create_model", fail)
    with pytest.raises(OSError, match=r"^caformer_s18.sail_in1k cannot be downloaded; .*\.safetensors file.*: no hub$"):
        load_weights("pretrained", "caformer_s18")


def test_a_files_candidate_is_read_beside_it(tmp_path):
    weights = weights_of("dwconv-cska.h4-attn-attn")
    save_file(weights.tensors, tmp_path / "model.safetensors")
    file = str(tmp_path / "model.safetensors")
    assert load_weights(file, "caformer_micro").candidate == f"caformer_micro-{BASE}"
    for name in ("trainer.json", "config.json"):
        (tmp_path / name).write_text(json.dumps({"origin": {"candidate": weights.candidate}}))
        read = load_weights(file, "caformer_micro")
        assert (read.candidate, read.fingerprint) == (weights.candidate, weights.fingerprint)
        (tmp_path / name).write_text("[]")


def test_a_fingerprint_knows_bytes_shapes_names_and_the_candidate():
    one = weights_of(BASE)
    changed = {**one.tensors, "head.norm.weight": one.tensors["head.norm.weight"] + 1e-6}
    flat = {**one.tensors, "stem.conv.weight": one.tensors["stem.conv.weight"].flatten()}
    renamed = {name.replace("head.norm", "norm"): tensor for name, tensor in one.tensors.items()}
    others = [Weights("w", one.candidate, tensors) for tensors in (one.tensors, changed, flat, renamed)]
    others.append(Weights("w", "caformer_micro-ska-ska-ska-ska", one.tensors))
    assert others[0].fingerprint == one.fingerprint
    assert len({each.fingerprint for each in others}) == 5
    assert all(re.fullmatch("[0-9a-f]{8}", each.fingerprint) for each in others)


def test_weights_travel_as_bytes():
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
    """Of three epochs, two for the new mixer alone."""
    return replace(quick, mixers_first=2, init="known")


def started(recipe, data, weights, folder=None, candidate=CANDIDATE):
    return Trainer(candidate, recipe, data, 0, folder, weights=weights)


def tensors(trainer):
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def test_the_first_epochs_move_only_what_is_fresh_and_the_rest_move_all(shapes, finetune):
    trainer = started(finetune, shapes, weights_of(BASE))
    states = [tensors(trainer), *(tensors(trainer) for _ in trainer.epochs())]
    moved = [
        {name for name in later if not torch.equal(earlier[name], later[name])} for earlier, later in pairwise(states)
    ]
    assert moved == [{STAGE_2 + name for name in CSKA}] * 2 + [set(trainer.model.state_dict())]


def test_where_nothing_is_fresh_everything_is_trained_at_once(shapes, finetune):
    weights = weights_of(BASE)
    trainer = started(finetune, shapes, weights, candidate=Candidate.parse(weights.candidate))
    before = tensors(trainer)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights.tensors.items())
    next(trainer.epochs())
    assert not any(torch.equal(before[name], tensor) for name, tensor in tensors(trainer).items())


@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
@pytest.mark.parametrize("interrupted", [1, 2])
def test_a_resumed_warm_run_equals_an_uninterrupted_one(shapes, finetune, tmp_path, optimizer, interrupted):
    recipe, weights = replace(finetune, optimizer=optimizer), weights_of(BASE)
    whole = started(recipe, shapes, weights)
    losses = [epoch.train_loss for epoch in whole.epochs()]
    for _ in islice(started(recipe, shapes, weights, Folder(tmp_path)).epochs(), interrupted):
        pass
    resumed = started(recipe, shapes, weights, Folder(tmp_path))
    assert [epoch.train_loss for epoch in resumed.epochs()] == losses[interrupted:]
    assert all(torch.equal(tensor, tensors(whole)[name]) for name, tensor in tensors(resumed).items())


def test_two_ranks_train_what_is_fresh_and_then_all_as_one_does(shapes, finetune, tmp_path):
    """Gradients are exchanged of what is trained: that changes between two epochs."""
    recipe = replace(finetune, drop_path=0.0)  # whose draws differ from rank to rank
    task = TrialTask(key="k", candidate=CANDIDATE, seed=0, until=3)
    setup = TrainingSetup(recipe=recipe, data=shapes, resources=Resources(), checkpoints=None, weights=weights_of(BASE))
    alone = curve(run_trial(task, setup))
    together = curve(run_trial(task, replace(setup, resources=Resources(ranks=2))))
    assert together == [pytest.approx(row, rel=1e-3) for row in alone]


def test_a_warm_start_is_ahead_of_a_cold_one(shapes, quick, tmp_path):
    """The baseline is trained and saved; a candidate that begins with it is better than one that begins anew."""
    folder = Folder(tmp_path)
    baseline = Trainer(Candidate.parse(f"caformer_micro-{BASE}"), replace(quick, epochs=6), shapes, 0, folder)
    list(baseline.epochs())
    weights = load_weights(str(tmp_path / "epoch-0006" / "model.safetensors"), "caformer_micro")
    assert weights.candidate == f"caformer_micro-{BASE}"
    recipe = replace(quick, epochs=1, warmup_epochs=0, mixers_first=1, lr=1e-4)  # too little to learn anew
    with_weights, without = (next(started(recipe, shapes, start).epochs()).val_loss for start in (weights, None))
    assert with_weights < without / 2


def saved(folder, placement=BASE, classes=10, img_size=32):
    file = folder / "model.safetensors"
    save_file(weights_of(placement, classes=classes, img_size=img_size).tensors, file)
    return str(file)


def test_a_plan_holds_the_weights_and_its_trials_are_others(tmp_path):
    def plan(*arguments):
        return make_plan(command_line().parse_args(["--space", "placement", "--results", str(tmp_path), *arguments]))

    cold, begun = plan(), plan("--init", saved(tmp_path))
    assert (cold.weights, cold.recipe.init) == (None, None)
    assert begun.recipe.init == str(begun.weights)
    assert begun.trial(begun.candidates[0], 0).key != cold.trial(cold.candidates[0], 0).key
    with cold.study.owned():
        cold.study.begin(cold.settings())
        record = cold.trial(cold.candidates[0], 0)
        cold.study.write("trials", record.key, [record])
        with pytest.raises(ValueError, match=f"recipe.init None, now '{begun.recipe.init}'; choose another name"):
            begun.study.begin(begun.settings())


def test_tables_say_what_their_trials_began_with(study, tmp_path):
    settings = study.settings()
    with study.owned():
        study.begin(replace(settings, recipe={**settings.recipe, "init": "weights-0123abcd"}))
        record = trial_record(BASE, status="done", top1=90.0, test_top1=90.0)
        study.write("trials", record.key, [record])
    assert "recipe r from weights weights-0123abcd (which favour" in make_report(study).markdown[0]


def test_ranks_are_compared_in_all_and_among_placements_that_keep_the_same_stages():
    """A warm start that adds a point for each stage kept: ranks are lost in all, and found where as many are kept."""
    rng = np.random.default_rng(0)
    placements = [f"{a}-{b}-{c}-attn" for a, b, c in product(("dwconv", "ska", "cska", "attn"), repeat=3)]
    stages, final = warm_ranks.kept(placements), rng.normal(size=len(placements))
    assert stages[placements.index("dwconv-dwconv-attn-attn")].tolist() == [1, 1, 1, 1]
    assert stages[placements.index("ska-dwconv-dwconv-attn")].tolist() == [0, 1, 0, 1]
    top1 = final + 100 * stages.sum(axis=1)
    among = [warm_ranks.residual(values, stages) for values in (top1, final)]
    assert warm_ranks.rank_correlation(*among)[0] == pytest.approx(1)
    value, low, high = warm_ranks.rank_correlation(top1, final)
    assert low < value < high < 0.9


@pytest.mark.parametrize("arguments", [["--recipe", "finetune", "--data", "x"], ["--init", "nowhere"]])
def test_a_command_without_weights_that_it_needs_gets_one_line(tmp_path, capsys, arguments):
    for program, command in (
        (orchestrate, ["--space", "placement", "--results", str(tmp_path / "runs")]),
        (trainers_main, ["caformer_micro-dwconv-cska-attn-attn"]),
    ):
        assert program([*command, *arguments]) == 2
        assert re.fullmatch(r"\S+: error: [^\n]*pretrained, or a .safetensors file\n", capsys.readouterr().err)


def test_one_trial_from_the_command_line_begins_with_a_file(tmp_path, monkeypatch):
    setups = []

    def run_nothing(task, setup):
        setups.append(setup)
        yield Failure("input", "no training here")

    monkeypatch.setattr("trainers.run_trial.run_trial", run_nothing)
    assert trainers_main([str(CANDIDATE), "--init", saved(tmp_path)]) == 2
    assert setups[0].recipe.init == str(setups[0].weights)
    assert setups[0].weights.candidate == f"caformer_micro-{BASE}"
