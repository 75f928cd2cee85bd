import json
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
    with pytest.raises(ValueError, match="expected backbone, budget, data, recipe, space"):
        StudySettings.from_json(without(name))


@pytest.mark.parametrize("changes", [{"data": []}, {"recipe": {"name": "r"}}, {"report": {"rows": [{"x": 1}]}}])
def test_settings_of_another_shape_are_damaged(changes):
    content = json.loads(SETTINGS.to_json()) | changes
    with pytest.raises(ValueError, match="expected"):
        StudySettings.from_json(json.dumps(content).encode())


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
