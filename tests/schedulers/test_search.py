"""What crosses the border of this room."""

from schedulers.search import Job, TrialName


def test_a_job_names_its_trial():
    assert Job("aaa", 1, until=9).name == TrialName("aaa", 1)


def test_a_trial_name_equals_the_pair():
    assert TrialName("aaa", 1) == ("aaa", 1)
