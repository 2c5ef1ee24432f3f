# The class vectors of a cell, for Figures 4 and 5 and Table 3.


rule embed:
    input:
        unpack(context.inputs("embed")),
    output:
        steps["embed"].files,
    log:
        steps["embed"].log,
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("embed"),
    message:
        "class vectors of {wildcards.model} on {wildcards.dataset}: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones embed --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"
