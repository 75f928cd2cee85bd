import pandas as pd

from results.report.device_costs import cost_by_placement, main_device, main_device_costs

TRIALS = pd.DataFrame({"device": ["CPU", "GPU", "GPU", ""], "candidate": list("xyyz"), "placement": list("abbc")})
COSTS = pd.DataFrame({"candidate": ["x", "x", "y"], "device": ["CPU", "GPU", "GPU"], "num_params": 1, "flops": 2})
COSTS = COSTS.assign(images_per_second=[10.0, 20.0, 30.0])


def test_the_main_device_ran_most_trials():
    assert main_device(TRIALS) == "GPU"
    assert main_device(TRIALS[TRIALS["device"] == ""]) == ""


def test_costs_of_other_devices_are_left_out():
    assert main_device_costs(TRIALS, COSTS)["images_per_second"].tolist() == [20.0, 30.0]


def test_costs_have_the_placement_of_their_candidate():
    assert cost_by_placement(TRIALS, COSTS, "images_per_second") == {"a": 20.0, "b": 30.0}
