import pytest
import torch

from benchmarks.loading import main, thin_out, walk
from tests.support.images import write_jpeg_folders


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def two_batches(clock, seconds):
    """Two batches of three images, the first after so many seconds."""
    clock.sleep(seconds)
    yield torch.zeros(3), torch.zeros(3)
    yield torch.zeros(3), torch.zeros(3)


def test_waits_are_those_for_first_batches(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("benchmarks.loading.time", clock)
    pace = walk(((two_batches(clock, 2.0), two_batches(clock, 5.0)) for _ in range(3)), seconds_per_batch=1.0)
    assert pace.to_training == pytest.approx(2.0)
    assert pace.to_validation == pytest.approx(5.0)
    # 11 batches after the first, whose wait is not timed: 3 waits of 5 s, 2 of 2 s and 11 batches of 1 s.
    assert pace.images_per_second == pytest.approx(33 / 30)


def test_images_are_thinned_out_evenly(tmp_path):
    write_jpeg_folders(tmp_path)
    thin_out(tmp_path, 10)
    assert [len(list((tmp_path / "train" / name).iterdir())) for name in ("bright", "dark")] == [5, 5]


@pytest.mark.slow
def test_all_loaders_are_compared(tmp_path, capsys):
    write_jpeg_folders(tmp_path)
    main(["--data", str(tmp_path), "--img-size", "16", "--group", "8", "--epochs", "2", "--workers", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:16].strip() for line in lines] == ["loader", "ours", "ours as it was", "timm's"]
