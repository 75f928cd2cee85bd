"""What the first and the second signal do. SIGUSR1 is how Tune is asked to stop."""

import os
import signal

import pytest

from orchestrator.interrupts import Interrupts


@pytest.fixture
def forwarded():
    """The signals that Tune gets."""
    received = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
    yield received
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_forwarded_once_when_tune_is_ready(forwarded, capsys, number):
    with Interrupts() as interrupts:
        signal.raise_signal(number)
        assert interrupts.received == number
        assert not forwarded
        interrupts.forward()
        interrupts.forward()
    assert forwarded == [signal.SIGUSR1]
    assert "interrupt once more to end at once" in capsys.readouterr().err


def test_without_a_signal_nothing_is_forwarded(forwarded):
    with Interrupts() as interrupts:
        interrupts.forward()
    assert (forwarded, interrupts.received) == ([], 0)


def test_the_second_signal_ends_the_process(monkeypatch):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with Interrupts():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert codes == [128 + signal.SIGTERM]


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
