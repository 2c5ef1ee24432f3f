# The report is made of the tables and of what the cells recorded about themselves, without a model.


rule render_report:
    input:
        context.report_inputs(),
        [local(path) for path in context.studies()],
        local(context.report_sentinel()),
    output:
        [f"results/{{suite}}/{name}" for name in context.report_files()],
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
