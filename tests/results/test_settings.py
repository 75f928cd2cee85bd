import json
import re
from dataclasses import replace

import pytest

from results.settings import PublishedRow, StudySettings
from results.store import Study
from tests.support.paths import ROOT
from tests.support.studies import BASE, SETTINGS


def without(*names):
    """The JSON of settings without these entries."""
    content = json.loads(SETTINGS.to_json())
    return json.dumps({name: value for name, value in content.items() if name not in names}).encode()


def test_settings_come_back_as_they_were_written():
    full = replace(SETTINGS, space_file="0f", code="1a", search={"sampler": "gp", "race": None})
    assert StudySettings.from_json(full.to_json()) == full


def test_the_file_has_the_layout_of_existing_studies():
    content = json.loads(SETTINGS.to_json())
    assert content["data"] == {"name": "d", "fingerprint": "0"}
    assert content["report"]["rows"] == [
        {"table": "Table 5", "row": "none", "heads": None, "placement": BASE, "baseline": BASE}
    ]
    assert content["report"]["rungs"] == [2]


@pytest.mark.parametrize("study", ["placement-cifar10_short", "design-cifar10_short", "heads-cifar10_short"])
def test_recorded_settings_are_written_as_they_were_read(study):
    recorded = Study(study, ROOT / "results" / "recorded")
    stored = json.loads(recorded.folder.read("study.json"))
    assert json.loads(recorded.settings().to_json()) == {"code": None} | stored


def test_a_study_from_before_reports_and_fingerprints_reads():
    settings = StudySettings.from_json(without("report", "search", "code", "space_file"))
    assert (settings.rows, settings.baseline, settings.rungs) == ((), "", ())
    assert (settings.code, settings.space_file, settings.search) == (None, None, None)


@pytest.mark.parametrize("name", ["space", "backbone", "recipe", "budget", "data"])
def test_settings_without_a_required_entry_are_damaged(name):
    with pytest.raises(ValueError, match=f"^{name} is missing"):
        StudySettings.from_json(without(name))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": []}, "data is a list, expected dict"),
        ({"data": {"name": 1, "fingerprint": "0"}}, "name is 1, expected str"),
        ({"recipe": {"name": "r"}}, "img_size is missing"),
        ({"recipe": {"name": "r", "img_size": True}}, "img_size is True, expected int"),
        ({"recipe": {"name": "r", "img_size": 32, "lr": [[1]]}}, "recipe.lr is a list, expected text or a number"),
        ({"budget": "4"}, "budget is '4', expected int"),
        ({"budget": 10**9}, "budget is 1000000000, expected 1 to 100,000"),
        ({"space": None}, "space is None, expected str"),
        ({"report": []}, "report is a list, expected dict"),
        ({"report": {"rows": [{"x": 1}]}}, "table is missing"),
        ({"report": {"rows": [1]}}, "an item of rows is 1, expected dict"),
        ({"report": {"rungs": ["1"]}}, "an item of rungs is '1', expected int"),
        ({"search": 5}, "search is 5, expected dict"),
    ],
)
def test_settings_of_another_shape_are_damaged(changes, says):
    content = json.loads(SETTINGS.to_json()) | changes
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        StudySettings.from_json(json.dumps(content).encode())


def test_the_recipes_fingerprint_is_that_of_the_trials_rows():
    recorded = Study("heads-cifar10_short", ROOT / "results" / "recorded")
    assert recorded.trials()["recipe_fingerprint"].unique().tolist() == [recorded.settings().recipe_fingerprint]


def test_what_is_asked_of_the_recipe():
    assert (SETTINGS.recipe_name, SETTINGS.img_size, SETTINGS.init) == ("r", 32, None)
    assert replace(SETTINGS, recipe={**SETTINGS.recipe, "init": "weights-01"}).init == "weights-01"


def test_differences_are_named_with_both_values():
    other = replace(SETTINGS, budget=9, recipe={**SETTINGS.recipe, "img_size": 64, "lr": 0.1})
    assert SETTINGS.differences(other) == "budget 4, now 9; recipe.img_size 32, now 64; recipe.lr None, now 0.1"


@pytest.mark.parametrize(
    "changes",
    [
        {"data_name": "renamed"},
        {"search": {"sampler": "tpe"}},
        {"rows": (PublishedRow(table="t", row="r", heads=2, placement="p", baseline="b"),)},
        {"rungs": (1, 3)},
    ],
)
def test_what_changes_no_trial_is_no_difference(changes):
    assert SETTINGS.differences(replace(SETTINGS, **changes)) == ""
