"""Which trial goes on: decisions over records, without torch and without Ray."""
