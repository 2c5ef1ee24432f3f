"""The methods that ConES is compared with, one file each: the paper's, and in folders those for two encoders alone."""
