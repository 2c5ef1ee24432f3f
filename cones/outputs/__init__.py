"""Tables and figures of a suite: one file each, which says what it is made of, how it is made and where it is shown."""
