"""What stands where a file should, and none of it hangs or fills the memory. A hang fails by the suite's timeout."""

import errno
import os
import socket

import pytest

from storage import regular_file
from storage.regular_file import UnusableFileError, open_without_links, read_regular_file


def test_a_regular_file_is_read_also_through_a_link(tmp_path):
    (tmp_path / "f").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    assert read_regular_file(tmp_path / "f") == read_regular_file(tmp_path / "link", max_bytes=7) == b"content"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_link_to_a_device_is_no_file(tmp_path, device):
    (tmp_path / "f").symlink_to(device)
    with pytest.raises(UnusableFileError, match="no regular file"):
        read_regular_file(tmp_path / "f")


def test_a_link_to_itself_is_no_file(tmp_path):
    (tmp_path / "f").symlink_to("f")
    with pytest.raises(UnusableFileError, match="no regular file"):
        read_regular_file(tmp_path / "f")


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "f")
    with pytest.raises(UnusableFileError, match="no regular file"):
        read_regular_file(tmp_path / "f")
    for flags in (os.O_WRONLY, os.O_RDWR | os.O_APPEND):
        with pytest.raises(OSError, match="no regular file: nothing is written there"):
            open_without_links(tmp_path / "f", flags)


def test_a_socket_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("f")
        with pytest.raises(UnusableFileError, match="no regular file"):
            read_regular_file(tmp_path / "f")
        with pytest.raises(OSError, match="no regular file: nothing is written there"):
            open_without_links(tmp_path / "f", os.O_WRONLY)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UnusableFileError, match="no regular file"):
        read_regular_file(tmp_path)


def test_a_sparse_file_is_not_read(tmp_path):
    with (tmp_path / "f").open("wb") as file:
        file.truncate(200 * 2**30)
    with pytest.raises(UnusableFileError, match="214,748,364,800 bytes, expected at most 1,000"):
        read_regular_file(tmp_path / "f", max_bytes=1000)


def test_a_file_of_the_kernel_that_says_it_is_empty_is_not_read(tmp_path):
    (tmp_path / "f").symlink_to("/proc/self/status")
    with pytest.raises(UnusableFileError, match="its size changed"):
        read_regular_file(tmp_path / "f", max_bytes=1000)


@pytest.mark.parametrize("failures", [1, 3])
def test_a_stale_handle_of_nfs_is_opened_anew(tmp_path, monkeypatch, failures):
    (tmp_path / "f").write_bytes(b"content")
    left = [failures]
    made = os.open

    def stale(*args):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.ESTALE, "Stale file handle")
        return made(*args)

    monkeypatch.setattr(regular_file, "STALE_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(os, "open", stale)
    assert read_regular_file(tmp_path / "f") == b"content"


def test_a_handle_that_stays_stale_is_an_error(tmp_path, monkeypatch):
    def stale(*args):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(regular_file, "STALE_PAUSES", (0.0,))
    monkeypatch.setattr(os, "open", stale)
    with pytest.raises(OSError, match="Stale file handle"):
        read_regular_file(tmp_path / "f")


def test_a_link_in_place_of_a_file_is_not_opened(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic link"):
        open_without_links(tmp_path / "link", 0)
