"""Which trial hangs, at invented times."""

import pytest

from orchestrator.stall_detector import StallDetector

MINUTE = 60.0


def looks(watch, start, end, step=5.0):
    """Those that hang, with the time at which it shows, of looks as often as `step`."""
    times = [start + step * number for number in range(int((end - start) / step) + 1)]
    return [(key, now) for now in times for key in watch.hanging(now)]


@pytest.mark.parametrize(
    ("durations", "minutes"),
    [([], None), ([1.0, 2.0, 3.0], 15), ([60.0, 120.0, 9000.0], 20), ([600.0], 100)],
)
def test_a_trial_hangs_after_ten_median_epochs_and_no_less_than_a_quarter_of_an_hour(durations, minutes):
    watch = StallDetector(durations=durations)
    watch.started("a", 0)
    found = [("a", minutes * MINUTE + 5)] if minutes else []
    assert looks(watch, 0, 120 * MINUTE) == found


def test_a_fixed_time_replaces_the_rule():
    watch = StallDetector(after=30.0, durations=[600.0])
    watch.started("a", 0)
    assert looks(watch, 0, 60) == [("a", 35)]


def test_an_epoch_counts_for_its_trial_and_for_the_median():
    watch = StallDetector()
    watch.started("a", 0)
    watch.started("b", 0)
    assert not looks(watch, 0, 100 * MINUTE)
    watch.reported("a", 100 * MINUTE, 120.0)
    assert looks(watch, 100 * MINUTE, 121 * MINUTE) == [("b", 100 * MINUTE), ("a", 120 * MINUTE + 5)]


def test_a_trial_that_ended_or_waits_for_a_process_does_not_hang():
    watch = StallDetector(after=30.0)
    watch.started("a", 0)
    assert watch.ended("a") == ""
    assert not looks(watch, 0, 600)


def test_a_second_hang_is_one_too_many():
    watch = StallDetector(after=900.0)
    for start, hopeless in ((0, False), (5000, True)):
        watch.started("a", start)
        assert looks(watch, start, start + 1000) == [("a", start + 905)]
        watch.reported("a", start + 1000, 1.0)  # too late: it is being killed
        assert not looks(watch, start + 1000, start + 3000)
        assert watch.ended("a") == "no epoch for 15 minutes"
        assert watch.ended("a") == ""
        assert watch.hopeless("a") == hopeless
    assert not watch.hopeless("b")


def test_silence_while_nobody_listened_does_not_count():
    watch = StallDetector(after=30.0)
    watch.started("a", 0)
    assert not looks(watch, 0, 20)
    assert not watch.hanging(1000)  # its epoch may lie in the queue
    assert looks(watch, 1000, 1020) == [("a", 1015)]
