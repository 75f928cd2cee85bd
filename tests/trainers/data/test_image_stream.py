import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import pytest
import torch

from tests.support.streams import ask, open_stream, reading_processes
from trainers.shared_memory import BATCHES_PER_WORKER


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.fixture(params=[0, 1, 2])
def stream(log, request):
    stream = open_stream(log, request.param)
    yield stream
    stream.close()


def values(batches):
    """The labels of the batches, which their images repeat."""
    found = []
    for images, labels in batches:
        assert torch.equal(images[:, 0, 0, 0].long(), labels)
        found.append(labels.tolist())
    return found


def test_batches_come_as_they_were_asked_for(stream):
    train = ask(stream, "train", [3, 1], [2])
    val = ask(stream, "val", [7])
    assert values(train) == [[3, 1], [2]]
    assert values(val) == [[7]]
    assert values(ask(stream, "train", [5])) == [[5]]  # after everything was answered


def test_another_order_changes_no_batch(stream):
    first = ask(stream, "train", [1], [2], [3], [4], [5], [6], [7])
    second = ask(stream, "val", [8], [9])
    assert values([next(first), next(first)]) == [[1], [2]]
    assert values([next(second)]) == [[8]]
    assert values(first) == [[3], [4], [5], [6], [7]]
    assert values(second) == [[9]]


def test_after_an_error_nothing_is_mistaken_for_another_batch(stream):
    broken = ask(stream, "train", [1], [99], [3], [4])
    other = ask(stream, "val", [5])
    assert values([next(broken)]) == [[1]]
    with pytest.raises(ValueError, match="broken"):
        next(broken)
    assert values(other) == [[5]]


def test_two_epochs_with_validation_start_each_process_once(log):
    stream = open_stream(log, workers=2)
    epochs = [[[1], [2], [3]], [[4], [5], [6]]]
    for epoch in epochs:
        train = ask(stream, "train", *epoch)
        val = ask(stream, "val", [7], [8])
        assert (values(train), values(val)) == (epoch, [[7], [8]])
    assert len(reading_processes(log)) == 2
    assert os.getpid() not in reading_processes(log)
    stream.close()
    assert not active_children()


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_next_epoch_is_prepared_while_validation_runs(log):
    stream = open_stream(log, workers=1)
    train = ask(stream, "train", [1])
    val = ask(stream, "val", [2])
    following = ask(stream, "train", [3], [4], [5])
    assert values(train) == [[1]]
    next(val)
    wait_for(lambda: log.read_text().count("train") == 1 + BATCHES_PER_WORKER)
    assert values(following) == [[3], [4], [5]]
    stream.close()


def test_the_loaders_seeds_come_from_no_global_generator(stream):
    state = torch.get_rng_state()
    values(ask(stream, "val", [1]))
    assert torch.equal(state, torch.get_rng_state())


SCRIPT = """
import sys, time
from pathlib import Path
from tests.support.streams import ask, open_stream
next(ask(open_stream(Path(sys.argv[1]), workers=2), "train", *([index] for index in range(99))))
print("loading", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_processes_end_after_the_training_process_is_killed(log):
    with subprocess.Popen([sys.executable, "-c", SCRIPT, log], stdout=subprocess.PIPE) as training:
        training.stdout.readline()
        started = reading_processes(log)
        training.send_signal(signal.SIGKILL)
    assert started
    wait_for(lambda: not any(os.path.exists(f"/proc/{process}") for process in started))
