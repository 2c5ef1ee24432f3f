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
GENERATION = (
    *("generation_cells.csv", "generation.csv", "generation.md", "generation_pairs.csv"),
    *("figure3.png", "figure3.pdf", "figure6.png", "figure6.pdf"),
)
# grid of a suite, or its generation -> what is made of its cells' embeddings, of its subjects
FILES_OF: dict[str, tuple[str, ...]] = {"figure4": FIGURE4, "table3": TABLE3, "generation": GENERATION}
# tables (.csv, .md) with a place of their own in results/
PUBLISHED = ("figure4", "table3", "efficiency", "generation")
SHOWN = ("figure3", "figure4", "figure5", "figure6")  # and figures (.png, .pdf)
GRID_OF = {"figure3": "generation", "figure4": "figure4", "figure5": "table3", "figure6": "generation"}
NUMBERS = {
    "figure3.png": "generation.csv",
    "figure4.png": "figure4.csv",
    "figure5.png": "table3.csv",
    "figure6.png": "generation.csv",
}
