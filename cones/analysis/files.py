"""The files of the analyses in the folder of a suite, by what makes them. Imports nothing heavy: rules ask it."""

FIGURE4 = (
    "figure4.csv",
    "figure4.md",
    "figure4.png",
    "figure4.pdf",
    "figure4_supplement.png",
    "figure4_supplement.pdf",
)
TABLE3 = ("table3.csv", "table3.md", "figure5.png", "figure5.pdf")
EFFICIENCY = ("efficiency.csv", "efficiency.md")
# grid of a suite -> what is made of its cells' embeddings
FILES_OF: dict[str, tuple[str, ...]] = {"figure4": FIGURE4, "table3": TABLE3}
PUBLISHED = ("figure4", "table3", "efficiency")  # tables (.csv, .md) with a place of their own in results/
SHOWN = ("figure4", "figure5")  # and figures (.png, .pdf)
GRID_OF = {"figure4": "figure4", "figure5": "table3"}
NUMBERS = {"figure4.png": "figure4.csv", "figure5.png": "table3.csv"}
