"""Removal of Snakemake's default limit on job starts: it makes the scheduler look at ready jobs ever more often.

After N finished jobs it looks N times a second. Snakemake limits itself to 100 jobs a second where nobody asked for a
limit (a default since snakemake/snakemake#3043); nothing public says what that costs, and there is no option to take it
away. Each look at the ready jobs starts a timer of a second that leads to the next look, because the limit may then
allow more; the end of each job is a look of its own, and so begins a chain that lasts as long as jobs are ready. A look
asks for the size of every input of every ready job. Measured with Snakemake 9.27.1, half way through 459 jobs: half a
core.
"""

from snakemake.scheduling.job_scheduler import JobScheduler

DEFAULT = (100, 1)  # jobs, seconds: of `--max-jobs-per-timespan`


def drop_default_rate_limit(scheduler: JobScheduler) -> None:
    """Remove the default limit from `scheduler`; a limit that the user set stays."""
    limiter = scheduler.job_rate_limiter
    if limiter and (limiter.max_jobs, limiter.timespan) == DEFAULT:
        scheduler.job_rate_limiter = None
