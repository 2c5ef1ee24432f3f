"""The report of a suite, one HTML page and one figure; a pure function of the tables and the cells' run.json files."""
