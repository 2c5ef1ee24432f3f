"""Snakemake looks at its ready jobs ever more often: after N finished jobs, N times a second. End that."""

from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler

DEFAULT = (100, 1)
"""Jobs, seconds: what Snakemake limits itself to where nobody asked for a limit (`--max-jobs-per-timespan`)."""


def drop_default_rate_limit(scheduler: JobScheduler) -> None:
    """Take the limit nobody asked for from `scheduler`; one that was asked for stays.

    Each look at the ready jobs starts a timer of a second that leads to the next look, because the limit may then
    allow more; the end of each job is a look of its own, and so begins a chain that lasts as long as jobs are ready. A
    look asks for the size of every input of every ready job. Measured with Snakemake 9.27.1, half way through 459 jobs:
    half a core.
    """
    limiter: JobRateLimiter | None = scheduler.job_rate_limiter
    if limiter and (limiter.max_jobs, limiter.timespan) == DEFAULT:
        scheduler.job_rate_limiter = None
