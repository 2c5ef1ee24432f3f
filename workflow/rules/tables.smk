# Tables are rebuilt from the cells' metrics.json alone, without a model.


rule collect:
    input:
        context.cell_files(),
        context.roll_call(),
    output:
        table="results/{suite}/table1.csv",
        markdown="results/{suite}/table1.md",
        cells="results/{suite}/cells.csv",
        table8="results/{suite}/table8.csv",
        markdown8="results/{suite}/table8.md",
        table10="results/{suite}/table10.csv",
        markdown10="results/{suite}/table10.md",
    log:
        "logs/{suite}/collect.log",
    localrule: True
    params:
        code=code_digest("cones.steps.collect"),
        title=plan.suite.title,
    message:
        "collecting the cells of suite {wildcards.suite}"
    shell:
        "python -m cones collect --suite {wildcards.suite} > {log} 2>&1"


rule table7:
    input:
        expand(
            rules.prepare.output[0],
            source=plan.suite.source,
            dataset=plan.suite.datasets,
        ),
    output:
        "results/{suite}/table7.csv",
    log:
        "logs/{suite}/table7.log",
    localrule: True
    params:
        code=code_digest("cones.tables.table7"),
        entries=[settings_digest(plan.registry[name]) for name in plan.suite.datasets],
    message:
        "counting the datasets of suite {wildcards.suite}"
    shell:
        "python -m cones table7 --suite {wildcards.suite} > {log} 2>&1"


rule table1:
    input:
        table=f"results/{plan.suite.suite}/table1.csv",
        markdown=f"results/{plan.suite.suite}/table1.md",
    output:
        table="results/table1.csv",
        markdown="results/table1.md",
    log:
        "logs/table1.log",
    localrule: True
    message:
        "copying the table of the configured suite to results/table1.csv"
    shell:
        "(cp {input.table} {output.table} && cp {input.markdown} {output.markdown}) > {log} 2>&1"


use rule table1 as table8 with:
    input:
        table=f"results/{plan.suite.suite}/table8.csv",
        markdown=f"results/{plan.suite.suite}/table8.md",
    output:
        table="results/table8.csv",
        markdown="results/table8.md",
    log:
        "logs/table8.log",
    message:
        "copying the table of the configured suite to results/table8.csv"


use rule table1 as table10 with:
    input:
        table=f"results/{plan.suite.suite}/table10.csv",
        markdown=f"results/{plan.suite.suite}/table10.md",
    output:
        table="results/table10.csv",
        markdown="results/table10.md",
    log:
        "logs/table10.log",
    message:
        "copying the table of the configured suite to results/table10.csv"
