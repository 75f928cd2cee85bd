import os
import threading
import time
from pathlib import Path

import pytest

from storage.local_files import LocalFiles, write_atomically


def test_a_write_that_dies_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch):
    write_atomically(tmp_path / "f", b"old")

    def die(self, target):
        raise OSError("killed")

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(OSError, match="killed"):
        write_atomically(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_write_leaves_no_other_file(tmp_path):
    write_atomically(tmp_path / "f", b"1")
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


def test_a_failed_write_leaves_no_part(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(tmp_path / "f", b"1")
    assert not list(tmp_path.iterdir())


def test_of_two_writers_at_the_same_time_one_leaves_its_whole_file(tmp_path):
    contents = [bytes([writer]) * 300_000 for writer in range(2)]
    start = threading.Barrier(2)
    errors = []

    def write(content):
        try:
            start.wait()
            write_atomically(tmp_path / "f", content)
        except OSError as error:
            errors.append(error)

    for _ in range(20):
        writers = [threading.Thread(target=write, args=[content]) for content in contents]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert (tmp_path / "f").read_bytes() in contents
    assert not errors
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize(("days", "left"), [(0.9, [".1-ab.part", "f.part"]), (1.1, ["f.part"])])
def test_what_a_killed_writer_left_is_removed_after_a_day(tmp_path, days, left):
    changed = time.time() - days * 24 * 3600
    for name in (".1-ab.part", "f.part"):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (changed, changed))
    LocalFiles(tmp_path, tmp_path).make()
    assert sorted(file.name for file in tmp_path.iterdir()) == left


def test_a_link_out_of_the_top_folder_is_refused(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "outside")
    files = LocalFiles(tmp_path / "top", tmp_path / "top").child("link")
    for work in (files.make, lambda: files.write("f", b"1"), lambda: files.remove("f")):
        with pytest.raises(ValueError, match=r"leads out of .*, by a symbolic link: nothing is written there"):
            work()
    assert not list((tmp_path / "outside").iterdir())


def test_a_link_within_the_top_folder_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    LocalFiles(tmp_path, tmp_path).child("link").write("f", b"1")
    assert (tmp_path / "there" / "f").read_bytes() == b"1"


def test_removing_a_link_keeps_what_it_points_to(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    LocalFiles(tmp_path, tmp_path).remove("link")
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]


def test_free_bytes_are_those_of_the_nearest_folder_that_is_there(tmp_path):
    missing = tmp_path / "not" / "there"
    assert LocalFiles(missing, missing).free() > 0
