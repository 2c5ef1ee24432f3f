# Tables and figures are made of files, without a model: a rule for the list of each grid's cells, and one for each output
# of the suite. The registry of outputs says what each is made of and what it leaves.

for grid in context.scored_grids:

    rule:
        name:
            f"collect_{grid}"
        input:
            context.cell_files(grid),
            local(context.missing_file_sentinel(grid)),
        output:
            f"results/{{suite}}/{grid}_cells.csv",
        log:
            f"logs/{{suite}}/collect-{grid}.log",
        localrule: True
        params:
            digest=output_digests.collect(plan, grid),
            grid=grid,  # an f-string in `shell` is read when the job runs: it would name the last grid
        message:
            f"collecting the cells of grid {grid} of suite {{wildcards.suite}}"
        shell:
            "python -m cones collect {params.grid} --suite {wildcards.suite} > {log} 2>&1"


for output in context.outputs:
    sources = context.output_inputs(output)

    rule:
        name:
            output.name
        input:
            sources,
            context.output_manifests(output),
            local(context.output_sentinel(output.name, sources, output.files)),
        output:
            [f"results/{{suite}}/{name}" for name in output.files],
        log:
            f"logs/{{suite}}/{output.name}.log",
        localrule: output.reads not in ("vectors", "boxes")  # maps of many vectors take a while
        params:
            digest=context.output_digest(output),
            settings=context.output_settings(output),
            name=output.name,
        message:
            f"{output.title}, suite {{wildcards.suite}}"
        shell:
            "python -m cones make {params.name} --suite {wildcards.suite} > {log} 2>&1"


rule publish:
    input:
        table=f"results/{plan.suite.suite}/{{table}}.csv",
        markdown=f"results/{plan.suite.suite}/{{table}}.md",
    output:
        table="results/{table}.csv",
        markdown="results/{table}.md",
    log:
        "logs/{table}.log",
    localrule: True
    message:
        "copying the table of the configured suite to results/{wildcards.table}.csv"
    shell:
        "(cp {input.table} {output.table} && cp {input.markdown} {output.markdown}) > {log} 2>&1"


rule publish_figure:
    input:
        png=f"results/{plan.suite.suite}/{{figure}}.png",
        pdf=f"results/{plan.suite.suite}/{{figure}}.pdf",
    output:
        png="results/{figure}.png",
        pdf="results/{figure}.pdf",
    log:
        "logs/{figure}.log",
    localrule: True
    message:
        "copying the figure of the configured suite to results/{wildcards.figure}.pdf"
    shell:
        "(cp {input.png} {output.png} && cp {input.pdf} {output.pdf}) > {log} 2>&1"
