"""What the accuracies of a study show: comparisons with verdicts, power, and the effects of stages and switches."""
