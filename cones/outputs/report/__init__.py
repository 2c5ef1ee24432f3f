"""The report of a suite: one HTML page and one figure, made of the tables and the cells' run.json files alone."""
