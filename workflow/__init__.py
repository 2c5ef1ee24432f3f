"""What only Snakemake needs: the plan as its rules ask for it, and what of Snakemake has to be mended. No maths."""
