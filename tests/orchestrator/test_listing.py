"""What --list prints, with invented costs."""

import pytest

from orchestrator import listing
from orchestrator.listing import print_listing
from tests.support.plans import plan_for, write_space
from trainers.cost import Cost


@pytest.fixture(autouse=True)
def _costs(monkeypatch):
    """Costs that nobody measures."""
    cost = Cost("CPU", 64, 100, 1000, images_per_second=400.0, train_images_per_second=200.0, peak_memory=None)
    monkeypatch.setattr(listing, "measure", lambda *arguments, **options: cost)


def printed(capsys, plan, **options):
    capsys.readouterr()
    print_listing(plan, cpus=1, gpus=0, **options)
    return capsys.readouterr().out.splitlines()


def test_every_candidate_is_printed_with_its_size_and_role(capsys, tmp_path):
    lines = printed(capsys, plan_for("--trials", "2", "--results", tmp_path / "runs"))
    rows = [line for line in lines if line.startswith("caformer_micro-")]
    assert len(rows) == 256
    assert [row.split()[-1] for row in rows].count("published") == 7
    assert "0.351 M params" in rows[0]
    assert "space placement: 256 candidates, 7 published, 0 that cannot be built at 32 px" in lines
    assert any(line.startswith("9 candidates x 1 seeds = 9 trials, 9 to train") for line in lines)
    assert lines[-1] == "measured on this machine; nothing was launched"
    assert not (tmp_path / "runs").exists()


def test_of_a_large_space_only_what_is_always_trained_is_printed(capsys, tmp_path):
    plan = plan_for("--results", tmp_path, space=write_space(tmp_path, OUTSIDE))
    lines = printed(capsys, plan, max_listed=1)
    (row,) = [line for line in lines if line.startswith("caformer_micro-")]
    assert row.split()[-1] == "baseline"  # it is always trained, and not published


OUTSIDE = """
from searchspace.spaces import SearchSpace
SPACE = SearchSpace('mine', choices=(('ska',), ('ska', 'cska'), ('attn',), ('attn',)))
"""


def test_a_race_is_listed_with_a_baseline_from_outside_the_space(capsys, tmp_path):
    arguments = ["--race", "0.9", "--budget", "5trials", "--results", tmp_path]
    lines = printed(capsys, plan_for(*arguments, space=write_space(tmp_path, OUTSIDE)))
    assert any(line.startswith("a race of 2 candidates until confidence 0.9") for line in lines)


def test_costs_that_cannot_be_measured_are_an_error_in_one_line(monkeypatch, tmp_path):
    def fail(*arguments, **options):
        raise RuntimeError("the GPU is too small\nand more")

    monkeypatch.setattr(listing, "measure", fail)
    with pytest.raises(ValueError, match=r"^costs cannot be measured: the GPU is too small$"):
        print_listing(plan_for("--results", tmp_path, space=write_space(tmp_path)), cpus=1, gpus=0)
