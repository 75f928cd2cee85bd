"""What is trained next: samplers, rungs, races. Plain Python over what the records say; knows no torch and no Ray."""

# The keys of samplers.SAMPLERS and rungs.RULES, for command lines that should not wait for what those import.
SAMPLER_NAMES = ("gp", "tpe", "evolution", "random", "grid")
RULE_NAMES = ("asha", "median", "none")
