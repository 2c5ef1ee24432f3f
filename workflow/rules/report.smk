# The report is made of the tables and of what the cells recorded about themselves, without a model.


rule render_report:
    input:
        [f"results/{{suite}}/{name}" for name in files_of("table1")],
        context.report_inputs(),
        [local(path) for path in context.studies()],
        context.analyses(),
        local(context.report_roll_call()),
    output:
        page="results/{suite}/report.html",
        figure="results/{suite}/figure_methods.png",
        print="results/{suite}/figure_methods.pdf",
    log:
        "logs/{suite}/report.log",
    localrule: True
    params:
        digest=context.report_digest(),
    message:
        "writing the report of suite {wildcards.suite}"
    shell:
        "python -m cones report --suite {wildcards.suite} > {log} 2>&1"


rule report:
    input:
        f"results/{plan.suite.suite}/report.html",
    output:
        "results/report.html",
    log:
        "logs/report.log",
    localrule: True
    message:
        "copying the report of the configured suite to results/report.html"
    shell:
        "cp {input} {output} > {log} 2>&1"
