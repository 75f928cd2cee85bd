"""Everything that only a GPU can show, in one command under 8 minutes: `python -m benchmarks.gpu`."""
