"""The one table of switches."""

import inspect
from dataclasses import fields

import pytest

from searchspace.candidate import Stage
from searchspace.mixers import MIXER_CLASSES
from searchspace.switches import KEY_STD, MIXERS, SWITCHES, describe, read


def test_every_field_of_a_stage_is_a_switch_in_the_same_order():
    assert [field.name for field in fields(Stage)[1:]] == [switch.name for switch in SWITCHES]


def test_a_field_is_unset_by_default():
    assert [field.default for field in fields(Stage)[1:]] == [switch.unset for switch in SWITCHES]


@pytest.mark.parametrize("mixer", MIXERS)
def test_defaults_are_those_of_the_mixers_class(mixer):
    parameters = {}
    for cls in reversed(MIXER_CLASSES[mixer].__mro__[:-1]):
        parameters |= inspect.signature(cls.__init__).parameters
    for name, default in MIXERS[mixer].items():
        if name == "key_init":
            assert parameters["key_std"].default == KEY_STD[default]
        elif default is not None:
            assert parameters[name].default == default


@pytest.mark.parametrize(
    ("spelled", "name", "value"),
    [
        ("h8", "num_heads", 8),
        ("d9999", "head_dim", 9999),
        ("k5", "kernel_size", 5),
        ("unit", "key_init", "unit"),
        ("noq", "query", False),
    ],
)
def test_a_spelling_sets_a_field_and_is_spelled_back(spelled, name, value):
    switch, found = read(spelled)
    assert (switch.name, found) == (name, value)
    assert switch.spell(value) == spelled


@pytest.mark.parametrize("spelled", ["", "h", "h0", "h08", "h10000", "h٣", "H8", "8", "hh8", "k2", "k11", "q", "scale"])
def test_what_spells_no_switch_is_unknown(spelled):
    assert read(spelled) is None


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.name)
def test_a_value_that_is_unset_is_not_spelled(switch):
    assert switch.spell(switch.unset) is None


@pytest.mark.parametrize(
    ("spelled", "described"),
    [
        ("h8", ("heads", "8")),
        ("d16", ("head dim", "16")),
        ("k5", ("kernel size", "5")),
        ("unit", ("key", "unit")),
        ("noscale", ("noscale", "yes")),
    ],
)
def test_a_report_names_factor_and_level(spelled, described):
    assert describe(spelled) == described


def test_an_unknown_switch_has_no_description():
    with pytest.raises(
        ValueError, match="unknown switch 'fast', expected h<heads>, d<head dim>, k<odd kernel size>, unit"
    ):
        describe("fast")
