import pytest

from results.report.updater import ReportUpdater


def test_the_report_is_updated_by_a_process_of_its_own(reported, quiet):
    with ReportUpdater(reported) as updater:
        updater.changed()
        first = updater.process
        updater.changed()  # not due again
        assert updater.process is first
        assert first.wait(60) == 0
    assert (reported.folder.path / "report" / "report.html").exists()


@pytest.mark.parametrize(("seconds_between", "starts"), [(60, 1), (0, 2)])
def test_updates_keep_their_distance(study, seconds_between, starts):
    with ReportUpdater(study, seconds_between) as updater:
        updater.command = ["true"]
        processes = set()
        for _ in range(2):
            updater.changed()
            updater.process.wait(10)
            processes.add(updater.process.pid)
    assert len(processes) == starts


def test_a_running_update_is_not_started_twice_and_ends_with_the_study(study):
    with ReportUpdater(study, seconds_between=0) as updater:
        updater.command = ["sleep", "60"]
        updater.changed()
        process = updater.process
        updater.changed()
        assert updater.process is process
    assert process.poll() is not None
