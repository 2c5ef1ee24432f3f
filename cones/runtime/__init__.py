"""What every step stands on: errors, files, digests, progress, devices, processes."""
