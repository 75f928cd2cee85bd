"""What is trained next: samplers, rungs, races. Plain Python over what the records say; knows no torch and no Ray."""
