"""Which trials have stalled, at invented times in seconds."""

import pytest

from orchestrator.stall_detector import StallDetector

MINUTE = 60.0


def find_stalled(detector, start, end, step=5.0):
    """The stalled trials, each with the time at which that shows, of looks every `step` seconds."""
    found = []
    for number in range(int((end - start) / step) + 1):
        now = start + step * number
        found += [(key, now) for key in detector.find_stalled(now)]
    return found


@pytest.mark.parametrize(
    ("epoch_seconds", "minutes"),
    [([1.0, 2.0, 3.0], 15), ([60.0, 240.0, 9000.0], 22), ([600.0], 40)],
)
def test_a_start_may_take_three_median_epochs_and_ten_minutes(epoch_seconds, minutes):
    detector = StallDetector(epoch_seconds=epoch_seconds)
    detector.on_start("a", 0)
    assert find_stalled(detector, 0, 120 * MINUTE) == [("a", minutes * MINUTE + 5)]


@pytest.mark.parametrize(("forecast", "minutes"), [(1.0, 15), (600.0, 60), (None, 180)])
def test_before_the_studys_first_epoch_the_forecast_counts(forecast, minutes):
    detector = StallDetector(forecast_seconds=forecast)
    detector.on_start("a", 0)
    assert find_stalled(detector, 0, 200 * MINUTE) == [("a", minutes * MINUTE + 5)]


def test_the_forecast_of_a_slow_candidate_outlasts_the_epochs_of_fast_ones():
    detector = StallDetector(epoch_seconds=[60.0], forecast_seconds=2400.0)
    assert detector.allowed_silence("slow") == 3 * 2400 + 600


@pytest.mark.parametrize(("own", "minutes"), [(600.0, 30), (60.0, 15), (1200.0, 60)])
def test_after_a_report_a_trial_may_be_silent_for_three_epochs(own, minutes):
    detector = StallDetector(forecast_seconds=600.0)
    detector.on_start("a", 0)
    detector.on_report("a", 600, epoch_seconds=own)
    assert detector.allowed_silence("a") == minutes * MINUTE


def test_a_new_process_of_a_trial_may_compile_again():
    detector = StallDetector(epoch_seconds=[600.0])
    detector.on_start("a", 0)
    detector.on_report("a", 600, epoch_seconds=600.0)
    detector.on_start("a", 700)
    assert detector.allowed_silence("a") == 40 * MINUTE


def test_what_has_stalled_once_is_given_twice_as_long():
    detector = StallDetector(forecast_seconds=600.0)
    detector.on_start("a", 0)
    assert find_stalled(detector, 0, 61 * MINUTE) == [("a", 60 * MINUTE + 5)]
    assert detector.allowed_silence("a") == 120 * MINUTE
    assert detector.allowed_silence("b") == 60 * MINUTE


@pytest.mark.parametrize(
    ("known", "line"),
    [
        ({"timeout_seconds": 90.0}, "a trial that reports no epoch for 1.5 minutes (--hang-after) is restarted"),
        ({"forecast_seconds": 600.0}, "no first epoch within 60 minutes (five forecast epochs)"),
        ({"epoch_seconds": [600.0]}, "no first epoch within 40 minutes (three known epochs)"),
        ({}, "no first epoch within 180 minutes (its speed is not known)"),
    ],
)
def test_the_limit_is_said_with_its_source(known, line):
    assert line in StallDetector(**known).describe()


def test_a_fixed_timeout_replaces_the_rule():
    detector = StallDetector(timeout_seconds=30.0, epoch_seconds=[600.0])
    detector.on_start("a", 0)
    assert find_stalled(detector, 0, 60) == [("a", 35)]


def test_a_report_restarts_the_silence_of_its_trial_and_counts_for_the_median():
    detector = StallDetector()
    detector.on_start("a", 0)
    detector.on_start("b", 0)
    assert not find_stalled(detector, 0, 100 * MINUTE)
    detector.on_report("a", 100 * MINUTE, epoch_seconds=400.0)
    found = find_stalled(detector, 100 * MINUTE, 121 * MINUTE)
    assert found == [("b", 100 * MINUTE), ("a", 120 * MINUTE + 5)]


def test_a_trial_that_ended_does_not_stall():
    detector = StallDetector(timeout_seconds=30.0)
    detector.on_start("a", 0)
    assert detector.on_end("a") is None
    assert not find_stalled(detector, 0, 600)


def test_a_stalled_trial_is_found_once_and_says_why_when_it_ends():
    detector = StallDetector(timeout_seconds=900.0)
    detector.on_start("a", 0)
    assert find_stalled(detector, 0, 3000) == [("a", 905)]
    assert detector.on_end("a") == "no epoch for 15 minutes"
    assert detector.on_end("a") is None


def test_a_report_of_a_trial_that_is_being_killed_comes_too_late():
    detector = StallDetector(timeout_seconds=900.0)
    detector.on_start("a", 0)
    assert find_stalled(detector, 0, 1000) == [("a", 905)]
    detector.on_report("a", 1000, epoch_seconds=1.0)
    assert not find_stalled(detector, 1000, 3000)


def test_a_trial_that_stalls_twice_is_given_up():
    detector = StallDetector(timeout_seconds=900.0)
    for start, given_up in ((0, False), (5000, True)):
        detector.on_start("a", start)
        assert find_stalled(detector, start, start + 1000) == [("a", start + 905)]
        detector.on_end("a")
        assert detector.is_given_up("a") == given_up
    assert not detector.is_given_up("b")


def test_silence_while_nobody_looked_does_not_count():
    detector = StallDetector(timeout_seconds=30.0)
    detector.on_start("a", 0)
    assert not find_stalled(detector, 0, 20)
    assert not detector.find_stalled(1000)  # its report may be waiting to be read
    assert find_stalled(detector, 1000, 1020) == [("a", 1015)]
