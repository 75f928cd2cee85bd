import os
import time
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import pytest

from storage.folder import Folder
from storage.lock import study_lock, wait_for_lock
from storage.owner import StudyBusyError


def hold(folder: Path, ready, done) -> None:
    with study_lock("s", Folder(folder)):
        ready.set()
        done.wait(30)


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    context = get_context("spawn")
    ready, done = context.Event(), context.Event()
    owner = context.Process(target=hold, args=(tmp_path, ready, done))
    owner.start()
    assert ready.wait(30)
    with (
        pytest.raises(StudyBusyError, match=f"study 's' is being run by process {owner.pid} on .* since"),
        study_lock("s", Folder(tmp_path)),
    ):
        pass
    owner.kill()
    owner.join()
    with study_lock("s", Folder(tmp_path)):
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} ")


def test_a_lock_that_is_waited_for_comes_after_the_other_writer(tmp_path):
    order = []

    def write():
        with wait_for_lock(Folder(tmp_path)):
            order.append("second")

    with wait_for_lock(Folder(tmp_path)):
        other = Thread(target=write)
        other.start()
        time.sleep(0.1)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_nobody_waits_on_an_object_store(s3):
    entered = []
    with wait_for_lock(Folder(s3)), wait_for_lock(Folder(s3)):
        entered.append("both")
    assert entered == ["both"]


def test_a_second_name_of_the_lock_is_not_written_through(tmp_path):
    (tmp_path / "victim").write_text("kept")
    os.link(tmp_path / "victim", tmp_path / ".lock")
    with study_lock("s", Folder(tmp_path)):
        pass
    assert (tmp_path / "victim").read_text() == "kept"


def test_a_fifo_in_place_of_a_lock_is_refused(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    for lock in (lambda: study_lock("s", Folder(tmp_path)), lambda: wait_for_lock(Folder(tmp_path))):
        with pytest.raises(OSError, match="no regular file: nothing is written there"), lock():
            pass
