"""What the checks of a command line let through, and what they refuse in one line."""

import re

import pytest

from orchestrate import main
from searchspace.candidate import Candidate
from searchspace.spaces import SearchSpace
from tests.support.plans import OWN_SPACE, plan_for, write_space
from tests.support.user_mixers import mixers_forgotten


def test_the_study_is_named_after_the_space():
    assert plan_for().study.name == "placement"
    assert plan_for("--study", "mine").study.name == "mine"


def test_a_published_candidate_that_cannot_be_built_is_left_out(monkeypatch):
    blocked = Candidate.parse("caformer_micro-dwconv-cska.h16-attn-attn")
    monkeypatch.setattr(SearchSpace, "problems", lambda space, img_size: {blocked: "too large"})
    candidates = plan_for(space="heads").candidates
    assert blocked not in candidates
    assert len(candidates) == 21


def test_a_space_of_ones_own_trains_its_baseline(tmp_path):
    plan = plan_for(space=write_space(tmp_path))
    assert [str(candidate) for candidate in plan.candidates] == ["caformer_micro-dwconv-dwconv-attn-attn"]
    assert plan.study.name == "mine"


def test_as_many_trials_as_the_space_has_beyond_its_baseline_are_taken(tmp_path):
    space = write_space(tmp_path)
    assert plan_for("--trials", "2", space=space).options.proposals == 2
    with pytest.raises(ValueError, match="3 trials beyond the published ones, but space 'mine' has 2"):
        plan_for("--trials", "3", space=space)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "mine.py defines SPACE = None, expected a SearchSpace"),
        ("x =", "mine.py: SyntaxError"),
        ("import sys; sys.exit('bye')", "mine.py: SystemExit: bye"),
        (OWN_SPACE.rstrip()[:-1] + ", baseline='dwconv-ska.h3-attn-attn')", "the baseline cannot be built"),
        (
            "from searchspace.spaces import SearchSpace\nSPACE = SearchSpace('m', (('x',),) * 4)",
            "unknown token mixer 'x'",
        ),
    ],
)
def test_a_file_that_defines_no_space_is_refused_in_one_line(tmp_path, text, wanted):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        plan_for(space=write_space(tmp_path, text))
    assert wanted in str(error.value)


BAD_MIXER = """
from torch import nn
from searchspace.mixers import register_mixer
@register_mixer('bad')
class Bad(nn.Module):
    def __init__(self, channels): super().__init__()
"""


def test_names_of_mixers_that_make_too_long_file_names_are_refused(tmp_path):
    long_name = "m" * 57
    text = OWN_SPACE.replace('("ska", "cska")', f'("{long_name}",)').replace('("attn",)', f'("{long_name}",)')
    mixer = BAD_MIXER.replace("'bad'", f"'{long_name}'").replace("channels", "dim, **switches")
    forward = "    def forward(self, x): return x\n"
    with mixers_forgotten(), pytest.raises(ValueError, match=r"of a candidate's token mixers take \d+ characters"):
        plan_for(space=write_space(tmp_path, mixer + forward + text))


def test_a_mixer_that_cannot_be_built_is_refused_in_one_line(tmp_path, capsys):
    space = write_space(tmp_path, BAD_MIXER + OWN_SPACE.replace('"ska"', '"bad"'))
    with mixers_forgotten():
        assert main(["--space", str(space), "--list"]) == 2
    assert re.fullmatch(r"orchestrate.py: error: \S+ cannot be built: [^\n]+\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--race", "0.95"], "--race needs a --budget too"),
        (["--race", "1.5", "--budget", "9trials"], "--race 1.5, expected a confidence between 0.5 and 1"),
        (["--race", "0.95", "--budget", "9trials", "--seeds", "2"], "--race adds seeds and candidates by itself"),
        (["--race", "0.95", "--budget", "9trials", "--objective", "top1,flops"], "leave out --seeds"),
        (["--objective", "speed"], "--objective speed, expected top1, or top1,flops or top1,params"),
        (["--budget", "3days"], "--budget 3days, expected hours, epochs or trials"),
        (["--budget", "3epochs"], "--budget 3epochs, expected at least the 12 epochs of one trial"),
        (["--hang-after", "0"], "--hang-after 0, expected more than 0 minutes"),
        (["--cpus-per-trial", "0"], "--cpus-per-trial 0, expected 1 or more"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path, arguments, wanted):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        plan_for(*arguments, "--results", tmp_path / "runs")
    assert wanted in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_search_options_are_those_of_the_command_line():
    options = plan_for("--objective", "top1,flops", "--budget", "12h", "--trials", "4", "--sampler", "tpe").options
    assert (options.cost, options.proposals, options.sampler, str(options.budget)) == ("flops", 4, "tpe", "12 hours")
    assert plan_for().options.cost is None


@pytest.mark.parametrize("arguments", [["--recipe", "finetune", "--data", "x"], ["--init", "nowhere"]])
def test_missing_initial_weights_are_refused_in_one_line(tmp_path, capsys, arguments):
    assert main(["--space", "placement", "--results", str(tmp_path / "runs"), *arguments]) == 2
    assert re.fullmatch(r"\S+: error: [^\n]*pretrained, or a .safetensors file\n", capsys.readouterr().err)
