import os
import subprocess

from storage.owner import Owner


def dead_pid():
    process = subprocess.Popen(["true"])  # noqa: S607
    process.wait()
    return process.pid


def test_an_owner_names_process_machine_and_time():
    assert str(Owner(7, "node1", "2026-01-01 00:00:00")) == "process 7 on node1 since 2026-01-01 00:00:00"
    assert Owner.this_process().pid == os.getpid()


def test_a_process_that_is_gone_has_died():
    here = Owner.this_process().host
    assert Owner(dead_pid(), here, "then").has_died()
    assert not Owner(os.getpid(), here, "then").has_died()
    assert not Owner(1, here, "then").has_died()  # another user's, where the tests do not run as root


def test_a_process_of_another_machine_has_never_died():
    assert not Owner(dead_pid(), "elsewhere", "then").has_died()
