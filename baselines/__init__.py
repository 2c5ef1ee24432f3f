"""The methods that the paper compares ConES with, one file each; each makes the language features in another way."""
