"""The same of a folder on this machine and of one on an object store."""

import os
import pickle
import threading
import time
from multiprocessing import get_context

import pytest

from storage import folder as folder_module
from storage.folder import Folder


def test_a_file_comes_back_as_it_was_written_and_is_replaced_whole(anywhere):
    for content in (b"first and longer", b"second", b""):
        anywhere.write("f", content)
        assert anywhere.read("f") == content
    assert anywhere.names() == ["f"]


def test_what_is_larger_than_a_request_comes_back_too(anywhere):
    content = bytes(range(256)) * 50_000
    anywhere.write("large", content)
    assert anywhere.read("large") == content


def test_where_nothing_is_nothing_is_found(anywhere):
    nowhere = anywhere / "nowhere"
    assert (nowhere.names(), nowhere.folders(), nowhere.exists("f")) == ([], [], False)
    with pytest.raises(FileNotFoundError):
        nowhere.read("f")
    nowhere.remove("f")


def test_names_are_those_of_files_and_not_hidden(anywhere):
    (anywhere / "b").make()
    for folder, name in ((anywhere, "b.txt"), (anywhere, "a.txt"), (anywhere, "c"), (anywhere, ".x.txt")):
        folder.write(name, b"1")
    (anywhere / "b").write("inside.txt", b"2")
    assert anywhere.names() == ["a.txt", "b.txt", "c"]
    assert anywhere.names(".txt") == ["a.txt", "b.txt"]
    assert anywhere.folders() == ["b"]
    assert anywhere.exists("b")


def test_many_are_read_in_order(anywhere):
    names = [f"{number:02d}" for number in range(40)]
    for name in names:
        anywhere.write(name, name.encode())
    assert anywhere.read_all(names[::-1]) == [name.encode() for name in names[::-1]]
    with pytest.raises(FileNotFoundError):
        anywhere.read_all([*names, "no such"])


def test_a_file_or_a_tree_is_removed_and_nothing_else(anywhere):
    for folder in (anywhere / "a", anywhere / "a" / "deep", anywhere / "ab"):
        folder.make()
        folder.write("f", b"1")
    anywhere.write("f", b"1")
    anywhere.remove("f")
    anywhere.remove("a")
    anywhere.remove("a")
    assert (anywhere.names(), anywhere.folders()) == ([], ["ab"])
    assert (anywhere / "ab").read("f") == b"1"


@pytest.mark.parametrize("name", ["with space", "100%25", "a+b?c#d", "é"])
def test_any_name_is_taken_as_it_is(anywhere, name):
    folder = anywhere / name
    folder.make()
    folder.write(name, b"1")
    assert (anywhere.folders(), folder.names(), folder.name) == ([name], [name], name)
    assert Folder(str(folder)).read(name) == b"1"


def test_a_folder_is_its_text(anywhere):
    below = anywhere / "a" / "b"
    assert below == Folder(str(below)) == pickle.loads(pickle.dumps(below))  # noqa: S301
    assert len({below, Folder(str(below)), anywhere}) == 2
    assert (below.name, below.parent.parent) == ("b", anywhere)
    assert below.absolute() == below


def hand_back(folder, queue):
    queue.put(folder.read("f"))


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_another_process_reads_it(anywhere, how):
    anywhere.write("f", b"1")
    context = get_context(how)
    queue = context.Queue()
    process = context.Process(target=hand_back, args=(anywhere, queue))
    process.start()
    assert queue.get(timeout=60) == b"1"
    process.join()


def test_a_disk_knows_what_is_free_a_store_does_not(tmp_path, s3):
    assert Folder(tmp_path / "not" / "there").free() > 0
    assert Folder(s3).free() is None


def test_a_file_uri_is_a_path(tmp_path):
    assert Folder(f"file://{tmp_path}/a%20b").path == tmp_path / "a b"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("zzz://bucket/prefix", "Unrecognized filesystem type"),
        ("s3://", "expected a bucket"),
        ("s3:///prefix", "expected a bucket"),
        ("s3://bucket/a b", "Cannot parse URI"),
        ("s3://bucket?nonsense=1", "Unexpected query parameter in S3 URI: 'nonsense'"),
        ("s3://bucket?scheme=ftp", "Invalid S3 connection scheme 'ftp'"),
        ("file://host/tmp", "names no host"),
    ],
)
def test_a_uri_that_is_none_is_refused_in_one_line(uri, says):
    with pytest.raises(ValueError, match=says) as caught:
        Folder(uri)
    assert len(str(caught.value).splitlines()) == 1


def test_a_bucket_that_is_not_there_is_said_in_one_line(endpoint):
    with pytest.raises(OSError, match="bucket does not exist") as caught:
        Folder(f"s3://nobodys/prefix?{endpoint}").write("f", b"1")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("what", [lambda f: f.read("f"), lambda f: f.write("f", b""), lambda f: f.names()])
def test_a_store_that_is_down_is_an_error_soon(endpoint, what):
    start = time.monotonic()
    with pytest.raises(OSError, match="connect") as caught:
        what(Folder("s3://studies?endpoint_override=127.0.0.1:1&scheme=http"))
    assert time.monotonic() - start < 20
    assert len(str(caught.value).splitlines()) == 1


def test_a_store_that_is_away_for_a_while_is_waited_for(endpoint, monkeypatch):
    from moto.server import ThreadedMotoServer

    def serve(port):
        server = ThreadedMotoServer("127.0.0.1", port=port, verbose=False)
        server.start()
        return server, server.get_host_and_port()[1]

    monkeypatch.setattr(folder_module, "PAUSE", 0.2)
    monkeypatch.setattr(folder_module, "ATTEMPTS", 1)
    server, port = serve(0)
    folder = Folder(f"s3://studies/away?endpoint_override=127.0.0.1:{port}&scheme=http")
    folder.write("f", b"1")
    server.stop()
    back = threading.Timer(2, serve, (port,))
    back.start()
    start = time.monotonic()
    folder.write("f", b"2")
    assert time.monotonic() - start > 1
    assert folder.read("f") == b"2"


def test_a_store_that_stays_away_is_given_up(monkeypatch):
    monkeypatch.setattr(folder_module, "PATIENCE", 0)
    query = "endpoint_override=127.0.0.1:1&scheme=http"
    monkeypatch.setattr(folder_module, "_reached", {("s3://studies", query, os.getpid())})
    with pytest.raises(OSError, match="connect"):
        Folder(f"s3://studies/gone?{query}").names()
