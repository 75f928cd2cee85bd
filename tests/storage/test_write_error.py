import errno
import pickle

import pytest

from storage.folder import Folder
from storage.regular_file import UnusableFileError
from storage.write_error import WriteError, as_write_error


def test_it_keeps_number_text_and_file():
    with pytest.raises(WriteError) as caught, as_write_error():
        raise OSError(errno.EIO, "Input/output error", "file")
    assert (caught.value.errno, str(caught.value)) == (errno.EIO, "[Errno 5] Input/output error: 'file'")


def test_an_object_stores_error_has_no_number():
    with pytest.raises(WriteError, match=r"^s3://b: away$") as caught, as_write_error():
        raise OSError("s3://b: away")
    assert caught.value.errno is None


def test_it_crosses_processes():
    copy = pickle.loads(pickle.dumps(WriteError(errno.EIO, "Input/output error", "file")))  # noqa: S301
    assert (type(copy), copy.errno, copy.filename) == (WriteError, errno.EIO, "file")


def test_what_cannot_be_written_is_one_and_what_cannot_be_read_is_not(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(WriteError):
        Folder(tmp_path).write("file", b"content")
    with pytest.raises(WriteError):
        Folder(tmp_path / "absent").write("file", b"content")
    with pytest.raises(UnusableFileError):
        Folder(tmp_path).read("file")
