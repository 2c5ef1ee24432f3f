"""The steps of the workflow: each reads files, calls the library and writes files. Nothing here knows Snakemake."""
