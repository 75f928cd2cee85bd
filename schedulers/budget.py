"""How much a search may spend: `12h`, `300epochs` or `40trials`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

Unit = Literal["h", "epochs", "trials"]


@dataclass(frozen=True)
class Budget:
    """So many hours of wall clock from the command's start, or epochs or trials of the study. Nothing exceeds it but
    what is under way when the hours are over."""

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`12h`, `1.5h`, `300epochs`, `40trials`; ValueError for anything else."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)h|(\d+)(epochs|trials)", text.replace(" ", ""))
        if not found or not (amount := float(found[1] or found[2])):
            raise ValueError(f"--budget {text}, expected hours, epochs or trials, such as 12h, 300epochs or 40trials")
        return cls(amount, cast(Unit, found[3] or "h"))

    def allows(self, hours: float, epochs: int, trials: int) -> bool:
        """Whether so much may be spent in all."""
        return {"h": hours, "epochs": epochs, "trials": trials}[self.unit] <= self.amount

    def __str__(self) -> str:
        return f"{self.amount:g} hours" if self.unit == "h" else f"{self.amount:g} {self.unit}"
