# One cell: from base weights to its tuned state. Stage 2 reads the state of stage 1.


rule tune:
    input:
        unpack(context.inputs("tune")),
    output:
        steps["tune"].files,
    log:
        steps["tune"].log,
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("tune"),
    message:
        "tuning {wildcards.model} on {wildcards.dataset}: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones tune --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"
