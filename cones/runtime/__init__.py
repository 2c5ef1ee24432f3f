"""What every layer stands on: registries of what a person may add."""
