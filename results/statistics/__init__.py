"""What the accuracies of a study show: comparisons, verdicts, effects."""
