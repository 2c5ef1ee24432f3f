"""The tables and figures that ship with the project, in the order of the report."""

OUTPUTS = {
    "table1": "cones.outputs.table1",
    "table8": "cones.outputs.table8",
    "table10": "cones.outputs.table10",
    "ranks": "cones.outputs.ranks",
    "table2": "cones.outputs.table2",
    "table3": "cones.outputs.table3",
    "figure4": "cones.outputs.figure4",
    "table4": "cones.outputs.table4",
    "table5": "cones.outputs.table5",
    "table7": "cones.outputs.table7",
    "table9": "cones.outputs.table9",
    "generation": "cones.outputs.generation",
    "efficiency": "cones.outputs.efficiency",
}
