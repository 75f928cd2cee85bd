import os
import threading
import time

import pytest

from storage import object_store
from storage.folder import Folder
from storage.object_store import RetrySettings, StoredObjects


def test_children_and_parents_keep_the_query(endpoint):
    top = StoredObjects.at(f"s3://studies/top?{endpoint}")
    child = top.child("a b")
    assert str(child) == f"s3://studies/top/a%20b?{endpoint}"
    assert child.name == "a b"
    assert child.parent == top


def test_nobody_knows_what_is_free(endpoint):
    assert StoredObjects.at(f"s3://studies?{endpoint}").free() is None


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("zzz://bucket/prefix", "Unrecognized filesystem type"),
        ("s3://", "expected a bucket"),
        ("s3:///prefix", "expected a bucket"),
        ("s3://bucket/a b", "Cannot parse URI"),
        ("s3://bucket?nonsense=1", "Unexpected query parameter in S3 URI: 'nonsense'"),
        ("s3://bucket?scheme=ftp", "Invalid S3 connection scheme 'ftp'"),
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


@pytest.fixture
def hasty(monkeypatch):
    """Requests are tried once, outages are not waited for."""
    monkeypatch.setattr(object_store, "RETRY", RetrySettings(attempts=1, outage_seconds=0))


@pytest.mark.parametrize("what", [lambda f: f.read("f"), lambda f: f.write("f", b""), lambda f: f.names()])
def test_a_store_that_is_down_is_an_error_in_one_line(endpoint, hasty, what):
    with pytest.raises(OSError, match="connect") as caught:
        what(Folder("s3://studies?endpoint_override=127.0.0.1:2&scheme=http"))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_a_store_that_is_down_is_an_error_within_20_seconds(endpoint):
    start = time.monotonic()
    with pytest.raises(OSError, match="connect"):
        Folder("s3://studies?endpoint_override=127.0.0.1:1&scheme=http").read("f")
    assert time.monotonic() - start < 20


def test_a_store_that_is_away_for_a_while_is_waited_for(endpoint, monkeypatch):
    from moto.server import ThreadedMotoServer

    def serve(port):
        server = ThreadedMotoServer("127.0.0.1", port=port, verbose=False)
        server.start()
        return server, server.get_host_and_port()[1]

    monkeypatch.setattr(object_store, "RETRY", RetrySettings(attempts=1, pause_seconds=0.2))
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


def test_a_store_that_stays_away_is_given_up(endpoint, hasty, monkeypatch):
    query = "endpoint_override=127.0.0.1:3&scheme=http"
    monkeypatch.setattr(object_store, "_answered", {("s3://studies", query, os.getpid())})
    with pytest.raises(OSError, match="connect"):
        Folder(f"s3://studies/gone?{query}").names()
