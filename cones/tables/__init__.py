"""From the cells' metrics.json files to the tables; a pure function of those files and of the published numbers."""
