# One cell: detections on the test split and their scores; and its scores on other datasets, by their class names.


rule evaluate:
    input:
        unpack(context.inputs("evaluate")),
    output:
        steps["evaluate"].files,
    log:
        steps["evaluate"].log,
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("evaluate"),
    message:
        "scoring {wildcards.model} on {wildcards.dataset}: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones evaluate --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"


rule elsewhere:
    input:
        unpack(context.inputs("elsewhere")),
    output:
        steps["elsewhere"].files,
    log:
        steps["elsewhere"].log,
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("elsewhere"),
    message:
        "scoring {wildcards.model}, tuned on {wildcards.dataset}, on other datasets: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones elsewhere --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"
