"""The switches of token mixers: how a candidate's text spells them, which mixers have them and what is their default.

There is no other table of them: candidate.py parses and spells by this one, encoding.py orders by it, backbones.py
builds by it, and reports take their names from it. A new switch is a row of SWITCHES, a field of `candidate.Stage` and
an entry of each mixer in MIXERS that has it. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = int | str | bool | None


@dataclass(frozen=True, kw_only=True)
class Switch:
    """One setting of a token mixer, spelled either as a letter and a whole number (`h8`) or as a word (`noscale`)."""

    name: str  # of the field of candidate.Stage, and of the keyword argument of the mixer's class
    label: str  # what reports call it
    letter: str = ""
    numbers: range = range(0)
    hint: str = ""  # what an error message calls the number
    words: Mapping[str, str | bool] = field(default_factory=dict)  # the value that each word stands for
    unset: bool | None = None  # the value of the field where the text does not spell the switch
    encoded_unset: int | str = 0  # what an encoding, which sorts the values of a switch, takes in place of None

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers, of which one lies between two others."""
        return bool(self.numbers)

    @property
    def expected(self) -> str:
        """Its spellings, for error messages."""
        if self.ordered:
            return f"{self.letter}<{self.hint}>"
        return ", ".join(self.words)

    def read(self, spelled: str) -> Value:
        """The value that `spelled` stands for, or None if it does not spell this switch."""
        if not self.ordered:
            return self.words.get(spelled)
        digits = spelled.removeprefix(self.letter)
        if digits == spelled or not digits.isdecimal():
            return None
        number = int(digits)
        has_leading_zero = str(number) != digits
        if has_leading_zero or number not in self.numbers:
            return None
        return number

    def spell(self, value: Value) -> str | None:
        """The text of `value`, or None if that is the value which is not spelled."""
        if value == self.unset:
            return None
        if self.ordered:
            return f"{self.letter}{value}"
        word_of: dict[Value, str] = {meant: word for word, meant in self.words.items()}
        return word_of[value]


# In the order in which a text spells them, which is also that of Stage's fields.
SWITCHES = (
    Switch(name="num_heads", label="heads", letter="h", numbers=range(1, 10_000), hint="heads"),
    Switch(name="head_dim", label="head dim", letter="d", numbers=range(1, 10_000), hint="head dim"),
    Switch(
        name="kernel_size",
        label="kernel size",
        letter="k",
        numbers=range(1, 10, 2),
        hint="odd kernel size",
        encoded_unset=3,
    ),
    Switch(name="key_init", label="key", words={"unit": "unit", "small": "small"}, encoded_unset=""),
    Switch(name="query", label="noq", words={"noq": False}, unset=True),
    Switch(name="bias", label="nobias", words={"nobias": False}, unset=True),
    Switch(name="scale", label="noscale", words={"noscale": False}, unset=True),
    Switch(name="softmax", label="nosoftmax", words={"nosoftmax": False}, unset=True),
)

# The standard deviation of a static key at the start of training, by the value of `key_init`.
KEY_STD = {"unit": 1.0, "small": 0.02}

# Each token mixer's switches and their defaults; None leaves the number to the backbone. `mixers.register_mixer` adds
# the mixers of users.
MIXERS: dict[str, dict[str, Value]] = {
    "dwconv": {},
    "ska": {
        "num_heads": None,
        "head_dim": None,
        "key_init": "unit",
        "query": True,
        "scale": True,
        "softmax": True,
    },
    "cska": {
        "num_heads": None,
        "head_dim": None,
        "kernel_size": 3,
        "key_init": "small",
        "query": True,
        "bias": True,
        "scale": True,
        "softmax": True,
    },
    "attn": {"num_heads": None, "head_dim": None},
}


def read(spelled: str) -> tuple[Switch, Value] | None:
    """The switch that `spelled` sets, and to which value: `h8` sets the number of heads to 8. None if it is unknown."""
    for switch in SWITCHES:
        value = switch.read(spelled)
        if value is not None:
            return switch, value
    return None


def expected() -> str:
    """All spellings, for error messages."""
    return ", ".join(switch.expected for switch in SWITCHES)


def describe(spelled: str) -> tuple[str, str]:
    """Factor and level in a report: `h8` is ("heads", "8"), `unit` ("key", "unit"), `noscale` ("noscale", "yes").

    ValueError if there is no such switch.
    """
    found = read(spelled)
    if found is None:
        raise ValueError(f"unknown switch {spelled!r}, expected {expected()}")
    switch, value = found
    level = "yes" if value is False else str(value)
    return switch.label, level
