# Tables are rebuilt from the cells' metrics.json alone, without a model. One rule for each grid of the suite: its cells
# are known while rules are parsed, and become files that its tables name one by one.

for grid in filter(TABLES_OF.get, plan.suite.grids):

    rule:
        name:
            f"collect_{grid}"
        input:
            context.cell_files(grid),
            local(context.roll_call(grid)),
        output:
            [f"results/{{suite}}/{name}" for name in files_of(grid)],
        log:
            f"logs/{{suite}}/collect-{grid}.log",
        localrule: True
        params:
            code=code_digest("cones.steps.collect"),
            shown=digests.shown(plan, grid),
            title=plan.suite.title,
            grid=grid,  # an f-string in `shell` is read when the job runs: it would name the last grid
        message:
            f"collecting the cells behind {', '.join(TABLES_OF[grid])} of suite {{wildcards.suite}}"
        shell:
            "python -m cones collect {params.grid} --suite {wildcards.suite} > {log} 2>&1"


rule table7:
    input:
        context.of_datasets("manifest.json"),
        local(context.analysis_roll_call("table7", [], TABLE7)),
    output:
        [f"results/{{suite}}/{name}" for name in TABLE7],
    log:
        "logs/{suite}/table7.log",
    localrule: True
    params:
        code=code_digest("cones.tables.table7"),
        title=plan.suite.title,
        entries=[
            settings_digest(plan.registry[name]) for name in plan.suite.all_datasets
        ],
    message:
        "counting the datasets of suite {wildcards.suite}"
    shell:
        "python -m cones table7 --suite {wildcards.suite} > {log} 2>&1"


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
