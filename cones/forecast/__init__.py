"""The cost of a run before it starts: cells, jobs, device-hours, disk and downloads of a suite or of a target."""
