"""A CUDA device for machines without one: tensors that say they are on `cuda:0` and hold the CPU's numbers.

They have CUDA's dispatch keys and `.device`, so CUDA's autocast rules hold for them, and mixing them with CPU tensors
of one or more dimensions raises, as on a GPU. What this cannot see: kernels that do not exist, asynchrony, what is not
deterministic, memory, speed.
"""
