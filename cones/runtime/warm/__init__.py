"""Steps start warm: a process that has imported PyTorch already forks, and the copy runs the step.

Most of a short step's time is imports. `offer` gives a run an address, in the environment. Every `python -m cones …`
below the run asks the server of that address to run its step (`client`), and lends it its arguments, folder,
environment and streams; the first to ask starts the server (`server`). The server imports what steps need (`imports`)
and forks; the copy becomes the client's step (`forked`). Whatever keeps the server from it, the client runs the step
itself, cold: with the same result, only later. Where a GPU is visible all steps are cold.

`client` stands before everything heavy in every step, so what it imports imports the standard library alone.
"""
