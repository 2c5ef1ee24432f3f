# Figures 4 and 5, Table 3, efficiency: made of files the cells left. Only `embed` needs a model.


rule embed:
    input:
        state=rules.tune.output.state,
        record=rules.tune.output.record,
        weights="checkpoints/{model}.safetensors",
        manifest=context.manifest,
    output:
        "results/{suite}/{model}/{dataset}/{arm}/seed{seed}/embeddings.safetensors",
    log:
        "logs/{suite}/{model}/{dataset}/{arm}/seed{seed}/embed.log",
    threads: 1
    resources:
        gpu=1,
    params:
        code=context.embed_digest,
        boxes=lambda wildcards: plan.compares_boxes(context.cell(wildcards)),
        prompts=plan.suite.prompts,
    message:
        "class vectors of {wildcards.model} on {wildcards.dataset}: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones embed --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"


if "figure4" in plan.suite.grids:
    vectors = context.embeddings("figure4", "stability")

    rule draw_figure4:
        input:
            vectors,
            local(context.analysis_roll_call("figure4", vectors, FILES_OF["figure4"])),
        output:
            [f"results/{{suite}}/{name}" for name in FILES_OF["figure4"]],
        log:
            "logs/{suite}/figure4.log",
        params:
            code=code_digest("cones.steps.figure4"),
            title=plan.suite.title,
        message:
            "mapping the class vectors of suite {wildcards.suite}"
        shell:
            "python -m cones figure4 --suite {wildcards.suite} > {log} 2>&1"


if BOXES_GRID in plan.suite.grids:
    boxes = context.embeddings(BOXES_GRID)

    rule table3:
        input:
            boxes,
            local(context.analysis_roll_call("table3", boxes, FILES_OF[BOXES_GRID])),
        output:
            [f"results/{{suite}}/{name}" for name in FILES_OF[BOXES_GRID]],
        log:
            "logs/{suite}/table3.log",
        params:
            code=code_digest("cones.steps.table3"),
            title=plan.suite.title,
        message:
            "measuring how far classes are from their boxes in suite {wildcards.suite}"
        shell:
            "python -m cones table3 --suite {wildcards.suite} > {log} 2>&1"


if context.method_cells():

    rule efficiency:
        input:
            context.method_cells(),
            context.runs(METHOD_GRIDS),
            local(context.analysis_roll_call("efficiency", [], EFFICIENCY)),
        output:
            [f"results/{{suite}}/{name}" for name in EFFICIENCY],
        log:
            "logs/{suite}/efficiency.log",
        localrule: True
        params:
            code=code_digest("cones.steps.efficiency"),
            title=plan.suite.title,
        message:
            "what every method of suite {wildcards.suite} cost"
        shell:
            "python -m cones efficiency --suite {wildcards.suite} > {log} 2>&1"


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
