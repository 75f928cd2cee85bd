"""What holds for a folder on this machine and for one on an object store alike."""

import pickle
from multiprocessing import get_context

import pytest

from storage.folder import Folder
from storage.regular_file import UnusableFileError


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


@pytest.mark.parametrize("name", ["..", "a/b", "", ".", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(anywhere, name):
    for work in (lambda f: f / name, lambda f: f.write(name, b""), lambda f: f.remove(name)):
        with pytest.raises(ValueError, match="bad name"):
            work(anywhere)


def test_a_path_a_file_uri_and_a_store_uri(tmp_path, s3):
    assert Folder(tmp_path).path == tmp_path
    assert Folder(f"file://{tmp_path}/a%20b").path == tmp_path / "a b"
    assert Folder(s3).path is None


def test_a_file_uri_with_a_host_is_refused():
    with pytest.raises(ValueError, match="names no host, here 'host'"):
        Folder("file://host/tmp")


def test_what_is_larger_than_expected_is_not_read(anywhere):
    anywhere.write("f", b"12345")
    assert anywhere.read("f", max_bytes=5) == b"12345"
    for read in (lambda: anywhere.read("f", 4), lambda: anywhere.read_all(["f", "f"], 4)):
        with pytest.raises(UnusableFileError, match="5 bytes, expected at most 4"):
            read()


def test_a_file_or_a_tree_is_moved(anywhere):
    for folder in (anywhere / "a", anywhere / "a" / "deep", anywhere / "aside"):
        folder.make()
    anywhere.write("f", b"1")
    (anywhere / "a" / "deep").write("f", b"2")
    anywhere.move("f", anywhere / "aside" / "g")
    anywhere.move("a", anywhere / "aside" / "a")
    assert (anywhere.names(), anywhere.folders()) == ([], ["aside"])
    assert (anywhere / "aside").read("g") == b"1"
    assert (anywhere / "aside" / "a" / "deep").read("f") == b"2"


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(Folder("~/x")) == "/home/somebody/x"
    assert str(Folder("x/~")) == "x/~"
