"""What one command line asks for, without launching anything."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrate import main
from orchestrate import parser as command_line
from orchestrator.plan import make_plan, pending_trials
from results.records import EpochRecord
from results.settings import PublishedRow
from searchspace.candidate import Candidate
from searchspace.spaces import SearchSpace
from searchspace.switches import MIXERS
from tests.support.checkpoints import write_weights
from tests.support.paths import ROOT
from trainers.version import commit


def plan(*arguments, space="placement"):
    return make_plan(command_line().parse_args(["--space", space, *arguments]))


def asked_for(asked):
    return pending_trials(asked)[0]


def test_every_candidate_is_asked_for_once_per_seed_the_published_first(tmp_path):
    records = asked_for(plan("--seeds", "2", "--trials", "3", "--results", str(tmp_path)))
    assert [record.seed for record in records] == [0] * 10 + [1] * 10
    assert [record.published for record in records[:10]] == [True] * 7 + [False] * 3
    assert len({record.key for record in records}) == 20


def test_a_key_knows_candidate_recipe_data_and_seed():
    one, cut = (asked.trial(asked.candidates[0], seed=0).key for asked in (plan(), plan("--epochs", "2")))
    assert one.startswith("caformer_micro-dwconv-dwconv-attn-attn--digits-")
    assert one != cut
    assert plan().trial(plan().candidates[0], seed=1).key == one.replace("--seed0", "--seed1")


def test_the_study_is_named_after_the_space():
    assert plan().study.name == "placement"
    assert plan("--study", "mine").study.name == "mine"


def test_the_same_images_under_another_name_are_the_same_data(tmp_path):
    begun, renamed = plan("--results", str(tmp_path)), plan("--results", str(tmp_path))
    with begun.study.owned():
        begun.study.begin(begun.settings())
        renamed = replace(renamed, data=replace(renamed.data, name="elsewhere"))
        renamed.study.begin(renamed.settings())
    assert renamed.study.settings().data_name == "elsewhere"


def test_a_trial_without_all_of_its_rows_is_pending(tmp_path):
    asked = plan("--results", str(tmp_path))
    records = [replace(record, status="done", epoch=1) for record in asked_for(asked)[:2]]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"train_loss": 1.0, "val_loss": 1.0, "top1": 1.0, "lr": 1.0, "seconds": 1.0, "finished_at": at}
    with asked.study.owned():
        for record in records:
            asked.study.write("trials", record.key, [record])
        key = records[0].key
        asked.study.write("epochs", key, [EpochRecord(key=key, candidate="c", seed=0, epoch=1, **row)])
    every, pending = pending_trials(asked)
    assert [record.key for record in pending] == [record.key for record in every[1:]]
    assert pending[0].epoch == 0


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert commit.__wrapped__() == ""


def test_the_repository_knows_its_commit():
    inside = (ROOT / ".git").exists()
    assert bool(re.fullmatch(r"[0-9a-f]{12}\+?", commit())) == inside


def test_the_rows_of_the_paper_travel_with_the_settings():
    rows = plan(space="heads").settings().rows
    assert len(rows) == 24
    assert rows[2] == PublishedRow(
        table="Figure 3",
        row="CSKA, head dim follows",
        heads=4,
        placement="dwconv-cska.h4-attn-attn",
        baseline="dwconv-cska-attn-attn",
    )


def test_what_rows_are_called_may_change_within_a_study(tmp_path):
    begun = plan("--results", str(tmp_path))
    with begun.study.owned():
        begun.study.begin(replace(begun.settings(), rows=(), rungs=()))
        begun.study.begin(begun.settings())
    assert len(begun.study.settings().rows) == 7


def test_a_published_candidate_that_cannot_be_built_is_left_out(monkeypatch):
    blocked = Candidate.parse("caformer_micro-dwconv-cska.h16-attn-attn")
    monkeypatch.setattr(SearchSpace, "problems", lambda space, img_size: {blocked: "too large"})
    assert blocked not in plan(space="heads").candidates
    assert len(plan(space="heads").candidates) == 21


OWN = """
from searchspace.spaces import SearchSpace
from trainers.version import commit
SPACE = SearchSpace("mine", choices=(("dwconv",), ("ska", "cska"), ("attn",), ("attn",)))
"""


def test_a_space_of_ones_own_trains_its_baseline_and_is_known_by_its_text(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    first = plan(space=str(tmp_path / "mine.py"))
    assert [str(candidate) for candidate in first.candidates] == ["caformer_micro-dwconv-dwconv-attn-attn"]
    assert first.study.name == "mine"
    assert re.fullmatch("[0-9a-f]{8}", first.settings().space_file)
    assert plan().settings().space_file is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "mine.py defines SPACE = None, expected a SearchSpace"),
        ("x =", "mine.py: SyntaxError"),
        ("import sys; sys.exit('bye')", "mine.py: SystemExit: bye"),
        (OWN.rstrip()[:-1] + ", baseline='dwconv-ska.h3-attn-attn')", "the baseline cannot be built"),
        (
            "from searchspace.spaces import SearchSpace\nSPACE = SearchSpace('m', (('x',),) * 4)",
            "unknown token mixer 'x'",
        ),
    ],
)
def test_a_file_that_defines_no_space_is_refused_in_one_line(tmp_path, text, wanted):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        plan(space=str(tmp_path / "mine.py"))
    assert wanted in str(error.value)


def test_a_mixer_that_cannot_be_built_is_refused_in_one_line(tmp_path, capsys):
    bad = "from torch import nn\nfrom searchspace.mixers import register_mixer\n"
    bad += "@register_mixer('bad')\nclass Bad(nn.Module):\n    def __init__(self, channels): super().__init__()\n"
    (tmp_path / "mine.py").write_text(bad + OWN.replace('"ska"', '"bad"'))
    try:
        assert main(["--space", str(tmp_path / "mine.py"), "--list"]) == 2
    finally:
        MIXERS.pop("bad")
    assert re.fullmatch(r"orchestrate.py: error: \S+ cannot be built: [^\n]+\n", capsys.readouterr().err)


def test_the_comparisons_are_those_of_the_largest_table():
    assert plan().comparisons() == 6
    assert plan(space="joint").comparisons() == 20  # Figure 3: 22 candidates, two of which are baselines
    assert plan("--trials", "30").comparisons() == 30


def test_as_many_trials_as_a_space_has_beyond_its_baseline_are_taken(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    assert plan("--trials", "2", space=str(tmp_path / "mine.py")).how.proposals == 2
    with pytest.raises(ValueError, match="3 trials beyond the published ones, but space 'mine' has 2"):
        plan("--trials", "3", space=str(tmp_path / "mine.py"))


def test_how_trials_are_chosen_may_change_within_a_study(tmp_path):
    begun = plan("--results", str(tmp_path))
    later = plan("--results", str(tmp_path), "--stopping", "none", "--trials", "2", "--sampler", "tpe")
    record = begun.trial(begun.candidates[0], seed=0)
    with begun.study.owned():
        begun.study.begin(begun.settings())
        begun.study.write("trials", record.key, [record])
        later.study.begin(later.settings())
    assert later.study.settings().search["sampler"] == "tpe"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--race", "0.95"], "--race needs a --budget too"),
        (["--race", "1.5", "--budget", "9trials"], "--race 1.5, expected a confidence between 0.5 and 1"),
        (["--objective", "speed"], "--objective speed, expected top1, or top1,flops or top1,params"),
        (["--budget", "3days"], "--budget 3days, expected hours, epochs or trials"),
        (["--race", "0.95", "--budget", "9trials", "--seeds", "2"], "--race adds seeds and candidates by itself"),
    ],
)
def test_options_that_contradict_each_other_get_one_line(capsys, tmp_path, arguments, wanted):
    assert main(["--space", "placement", "--results", str(tmp_path / "runs"), *arguments]) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(r"orchestrate.py: error: [^\n]+\n", captured.err)
    assert wanted in captured.err
    assert not (tmp_path / "runs").exists()


def test_a_race_of_ones_own_space_lists_a_baseline_from_outside_it(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "from searchspace.spaces import SearchSpace\n"
        "SPACE = SearchSpace('mine', choices=(('ska',), ('ska', 'cska'), ('attn',), ('attn',)))\n"
    )
    arguments = ["--space", str(tmp_path / "mine.py"), "--race", "0.9", "--budget", "5trials", "--list"]
    assert main([*arguments, "--results", str(tmp_path)]) == 0
    assert "a race of 2 candidates for confidence 0.9" in capsys.readouterr().out


def test_initial_weights_make_other_trials(tmp_path):
    cold = plan("--results", str(tmp_path))
    warm = plan("--results", str(tmp_path), "--init", write_weights(tmp_path))
    assert (cold.weights, cold.recipe.init) == (None, None)
    assert warm.recipe.init == str(warm.weights)
    assert warm.trial(warm.candidates[0], 0).key != cold.trial(cold.candidates[0], 0).key


def test_initial_weights_may_not_change_within_a_study(tmp_path):
    cold = plan("--results", str(tmp_path))
    warm = plan("--results", str(tmp_path), "--init", write_weights(tmp_path))
    with cold.study.owned():
        cold.study.begin(cold.settings())
        record = cold.trial(cold.candidates[0], 0)
        cold.study.write("trials", record.key, [record])
        with pytest.raises(ValueError, match=f"recipe.init None, now '{warm.recipe.init}'; choose another name"):
            warm.study.begin(warm.settings())


@pytest.mark.parametrize("arguments", [["--recipe", "finetune", "--data", "x"], ["--init", "nowhere"]])
def test_missing_initial_weights_get_one_line(tmp_path, capsys, arguments):
    assert main(["--space", "placement", "--results", str(tmp_path / "runs"), *arguments]) == 2
    assert re.fullmatch(r"\S+: error: [^\n]*pretrained, or a .safetensors file\n", capsys.readouterr().err)
