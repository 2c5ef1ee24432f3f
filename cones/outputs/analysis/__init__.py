"""Analyses of class vectors and box features, for Figures 4 and 5 and Table 3."""
