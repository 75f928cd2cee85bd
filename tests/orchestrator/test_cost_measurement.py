"""Costs of candidates, measured on a fake cluster and stored."""

from types import SimpleNamespace

import pytest

from orchestrator.cost_measurement import cost_record, measure_costs, measure_decoding
from results.records import CostRecord
from tests.support.plans import plan_for
from trainers.cost import Cost, measure
from trainers.device import trial_device_name
from trainers.resources import Resources

COST = Cost("Some GPU (TM)", 64, 100, 1000, images_per_second=4.0, train_images_per_second=2.0, peak_memory=1)


class FakeCluster:
    """Measures nothing, and remembers what it should have measured."""

    def __init__(self, error=None):
        self.measured = []
        self.error = error

    def resources(self):
        return Resources()

    def call(self, function, *arguments):
        if function is trial_device_name:
            return COST.device
        if self.error:
            raise self.error
        assert function is measure
        self.measured.append(str(arguments[0]))
        return COST


@pytest.fixture
def plan(tmp_path):
    plan = plan_for("--results", tmp_path)
    (plan.study.folder / "costs").make()
    return plan


def test_costs_are_measured_and_stored(plan):
    names = [str(candidate) for candidate in plan.candidates[:2]]
    records = measure_costs(plan, FakeCluster(), names)
    assert [record.candidate for record in records] == names
    assert {record.candidate for record in plan.study.records(CostRecord)} == set(names)


def test_what_the_study_holds_is_not_measured_again(plan):
    first, second = (str(candidate) for candidate in plan.candidates[:2])
    measure_costs(plan, FakeCluster(), [first])
    cluster = FakeCluster()
    assert len(measure_costs(plan, cluster, [first, second])) == 2
    assert cluster.measured == [second]


def test_costs_of_another_device_do_not_count(plan):
    name = str(plan.candidates[0])
    other = cost_record(name, 32, "Another", COST)
    plan.study.write("costs", other.key, [CostRecord(**{**vars(other), "device": "Another"})])
    cluster = FakeCluster()
    measure_costs(plan, cluster, [name])
    assert cluster.measured == [name]


def test_a_measurement_that_fails_is_printed_and_left_out(plan, capsys):
    assert measure_costs(plan, FakeCluster(RuntimeError("too small")), [str(plan.candidates[0])]) == []
    assert capsys.readouterr().err == "costs not measured: too small\n"


def test_the_key_of_a_cost_names_candidate_size_and_device():
    assert cost_record("c", 32, COST.device, COST).key == "c--32px--some-gpu-tm-"


def test_decoding_is_measured_only_for_streamed_images(capsys):
    memory = SimpleNamespace(data=SimpleNamespace(streamed=False), recipe=None)
    assert measure_decoding(memory, FakeCluster()) is None
    streamed = SimpleNamespace(data=SimpleNamespace(streamed=True), recipe=None)
    assert measure_decoding(streamed, FakeCluster(RuntimeError("no image"))) is None
    assert capsys.readouterr().err == "decoding not measured: no image\n"
