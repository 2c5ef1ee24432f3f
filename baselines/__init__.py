"""One short file per method the paper compares ConES with; each is another way to make the language features."""
