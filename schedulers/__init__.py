"""Schedulers decide what is trained next: samplers, rungs and races. Plain Python and numpy, without torch and Ray."""

# The keys of samplers.registry.SAMPLERS and rungs.RULES, for command lines that should not wait for their imports.
SAMPLER_NAMES = ("gp", "tpe", "evolution", "random", "grid")
RULE_NAMES = ("asha", "median", "none")
