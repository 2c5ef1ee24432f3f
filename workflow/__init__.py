"""The workflow's glue to Snakemake: the context of its rules, locks, sentinels and patches. No maths here."""
