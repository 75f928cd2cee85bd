"""Where the repository and the shared data lie."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"  # beside the checkout; tests that need it are skipped where it is absent
