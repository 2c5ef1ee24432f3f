"""What the class vectors look like and how far they are from the images: Figures 4 and 5, Table 3."""
