# One cell: detections on the test split and their scores.


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
