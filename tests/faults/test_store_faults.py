"""A study's files against SIGKILL, full disks, flipped bits and readers: nothing that was acknowledged is ever lost,
doubled or changed, and no file is ever unreadable. Without Ray."""

import errno
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import pytest

from results.records import EpochRecord, TrialRecord
from results.store import Study
from tests.support.studies import trial_record

TRIALS, EPOCHS = 2, 3
WRITES = 2 * TRIALS * EPOCHS
NIGHTLY = pytest.mark.nightly


def key(trial):
    return trial_record(seed=trial).key


def epoch_record(key, epoch):
    candidate = key.partition("--")[0]
    seed = int(key.rpartition("--seed")[2])
    fields = {"candidate": candidate, "seed": seed, "train_loss": 1.0 / epoch, "val_loss": 2.0 / epoch, "lr": 0.1}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return EpochRecord(key=key, epoch=epoch, top1=50.0 + epoch, seconds=1.0, finished_at=at, **fields)


def row(trial, epoch):
    return trial_record(seed=trial, epoch=epoch, top1=50.0 + epoch)


def writes():
    """What a recorder writes as epochs arrive: the curve, then the trial's row."""
    for trial in range(TRIALS):
        for epoch in range(1, EPOCHS + 1):
            curve = [epoch_record(key(trial), number) for number in range(1, epoch + 1)]
            yield ("epochs", key(trial), curve)
            yield ("trials", key(trial), [row(trial, epoch)])


def write_all(study, acknowledge=lambda number: None, count=WRITES):
    for number, (table, key, records) in enumerate(islice(writes(), count)):
        study.write(table, key, records)
        acknowledge(number)


def state(study):
    """Every row of the study by its file; reading fails where a file is damaged."""
    found = {("epochs", key): [] for key in {record.key for record in study.records(EpochRecord)}}
    for record in sorted(study.records(EpochRecord), key=lambda record: record.epoch):
        found["epochs", record.key].append(record)
    return found | {("trials", record.key): [record] for record in study.records(TrialRecord)}


def possible(before, acknowledged):
    """What may stand in each file after so many acknowledged writes: the last of them, or the one in flight."""
    allowed = {file: [records] for file, records in before.items()}
    for number, (table, key, records) in enumerate(writes()):
        if number < acknowledged:
            allowed[table, key] = [records]
        elif number == acknowledged:
            allowed[table, key] = [*allowed.get((table, key), [None]), records]
    return allowed


def killed(study, how, count=WRITES):
    """Write in a process of its own that dies as `how` makes it; how many writes it acknowledged, and its exit code."""
    listen, tell = os.pipe()
    if (child := os.fork()) == 0:
        with suppress(BaseException):
            how()
            write_all(study, lambda number: os.write(tell, b"."), count)
            os._exit(0)
        os._exit(1)
    os.close(tell)
    acknowledged = 0
    while part := os.read(listen, 100):
        acknowledged += len(part)
    os.close(listen)
    return acknowledged, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def assert_nothing_lost(study, acknowledged, before=MappingProxyType({})):
    found, allowed = state(study), possible(before, acknowledged)
    assert found.keys() <= allowed.keys()
    assert all(found.get(file) in options for file, options in allowed.items())
    return found


def die_at(number):  # noqa: C901  one operation after another is replaced
    """Make the process kill itself before operation `number` on files, or in the middle of it where it writes."""
    left = [number]

    def dying(work, half=None):
        def operation(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                if half:
                    half(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*args, **kwargs)

        return operation

    class File:
        def __init__(self, file):
            self.file, self.fileno = file, file.fileno
            self.write = dying(file.write, self._half)
            self.flush = dying(file.flush)

        def _half(self, content):
            self.file.write(memoryview(content)[: len(content) // 2])
            self.file.flush()

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

    made = os.fdopen
    os.fdopen = lambda *args: File(made(*args))
    Path.replace = dying(Path.replace)
    os.fsync = dying(os.fsync)
    os.open = dying(os.open)


@pytest.fixture
def empty(tmp_path):
    study = Study("s", tmp_path)
    with study.owned():
        pass
    return study


@pytest.mark.parametrize("count", [2, pytest.param(WRITES, marks=pytest.mark.slow)])
def test_killed_at_every_single_operation(tmp_path, count):
    """Until a run is clean: each of its writes opens, writes, flushes, syncs, replaces, and syncs the folder."""
    for number in range(1, 1000):
        study = Study("s", tmp_path / str(number))
        with study.owned():
            pass
        acknowledged, code = killed(study, lambda number=number: die_at(number), count)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert_nothing_lost(study, acknowledged)
        write_all(study)
        assert_nothing_lost(study, WRITES)
    assert number == 7 * count + 1


@pytest.mark.parametrize("times", [pytest.param(200, marks=pytest.mark.slow), pytest.param(5000, marks=NIGHTLY)])
def test_killed_at_random_times(empty, times):
    draw = random.Random(0)  # noqa: S311
    longest = min(seconds_of_a_run(empty) for _ in range(3))  # the first one is slower than those that are killed
    kills, found = 0, state(empty)
    for seconds in [draw.uniform(0, longest) for _ in range(times)]:
        acknowledged, code = killed(empty, lambda seconds=seconds: die_in(seconds))
        kills += code == -signal.SIGKILL
        found = assert_nothing_lost(empty, acknowledged, found)
    assert kills > times / 4
    write_all(empty)
    assert_nothing_lost(empty, WRITES)


def seconds_of_a_run(study):
    start = time.monotonic()
    killed(study, lambda: None)
    return time.monotonic() - start


def prefix(file, records):
    """What the file must hold if its last epoch is that of `records`."""
    table, key = file
    epoch = records[-1].epoch
    if table == "epochs":
        return [epoch_record(key, number) for number in range(1, epoch + 1)]
    return [row(int(key.rpartition("--seed")[2]), epoch)]


def die_in(seconds):
    """SIGKILL to this process after so long."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-4))


def test_a_flipped_bit_is_found_or_changes_nothing(empty):
    write_all(empty)
    draw, whole = random.Random(0), state(empty)  # noqa: S311
    files = sorted(empty.folder.path.glob("*/*.parquet"))
    found = 0
    for _ in range(200):
        file = draw.choice(files)
        good = file.read_bytes()
        bit = draw.randrange(8 * len(good))
        file.write_bytes(good[: bit // 8] + bytes([good[bit // 8] ^ 1 << bit % 8]) + good[bit // 8 + 1 :])
        after = read(empty)
        assert after == whole or f"{file} is damaged" in after or "schema version" in after
        found += after != whole
        file.write_bytes(good)
    assert found > 190


def read(study):
    """The state of a study, or why it cannot be read."""
    try:
        return state(study)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(("call", "number"), [("fsync", errno.EIO), ("write", errno.ENOSPC)])
def test_an_error_of_the_disk_is_raised_once_and_the_old_file_stays(empty, monkeypatch, call, number):
    write_all(empty)
    before, calls = state(empty), []

    def failing(*args):
        calls.append(args)
        raise OSError(number, os.strerror(number))

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", failing)
    else:
        made = os.fdopen

        def without_room(*args):
            file = made(*args)
            return type(
                "File", (), {"write": failing, "__enter__": lambda s: s, "__exit__": lambda s, *e: file.close()}
            )()

        monkeypatch.setattr(os, "fdopen", without_room)
    with pytest.raises(OSError, match=os.strerror(number)):
        empty.write("trials", key(0), [row(0, 1)])
    assert len(calls) == 1  # never again on the same file
    monkeypatch.undo()
    assert state(empty) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_loses_nothing(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        study = Study("s", tmp_path)
        with study.owned():
            written = fill(study)
        assert sorted(record.seed for record in study.records(TrialRecord)) == list(range(written))
        assert written > 5
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)  # noqa: S607


def fill(study):
    """How many rows there was room for."""
    for written in range(1000):
        try:
            study.write("trials", key(written), [row(written, 1)])
        except OSError as error:
            return written * (error.errno == errno.ENOSPC)
    return 0


@pytest.mark.parametrize("seconds", [1, pytest.param(5, marks=pytest.mark.slow), pytest.param(60, marks=NIGHTLY)])
def test_readers_never_see_half_a_row_while_rows_are_written(empty, seconds):
    write_all(empty)
    if (child := os.fork()) == 0:
        with suppress(BaseException):
            while True:
                write_all(empty)
        os._exit(1)
    try:
        reads, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            assert all(records == prefix(file, records) for file, records in state(empty).items())
            reads += 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert reads > 10


def test_an_older_file_reads_as_nulls_and_a_newer_one_is_refused(empty, monkeypatch):
    import results.parquet_file
    import results.records

    older = results.records.schema(TrialRecord).remove(results.records.schema(TrialRecord).get_field_index("ranks"))
    with monkeypatch.context() as patch:
        patch.setattr(results.parquet_file, "schema", lambda kind: older)
        empty.write("trials", key(0), [row(0, 1)])
    assert empty.records(TrialRecord)[0].ranks is None
    for version, read in (("1.7", True), ("2.7", True), ("3", False), ("3.0", False)):
        with monkeypatch.context() as patch:
            patch.setattr(results.records, "SCHEMA_VERSION", version)
            empty.write("trials", key(0), [row(0, 1)])
        if read:
            assert empty.records(TrialRecord)[0].epoch == 1
        else:
            with pytest.raises(ValueError, match=f"has schema version {version}, this code reads 2 and older"):
                empty.records(TrialRecord)
