"""The sources of outputs, one module each: their files in a suite's folders, and how these are read.

Each has `inputs(plan, output)` -> paths, `settings(plan, output)` -> what else the output depends on, `is_begun(plan,
output)` -> whether a run has left any of it, and `read(plan, output, *, partial)` -> the source of its `frame`.
The first three are asked while rules are parsed, so these modules import nothing heavy at their top.
"""
