# A frozen image encoder sees each picture once: every cell of a model and dataset that leaves it frozen reads this file.


rule features:
    input:
        unpack(context.inputs("features")),
    output:
        steps["features"].files,
    log:
        steps["features"].log,
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("features"),
    message:
        "image features of {wildcards.dataset} by {wildcards.model}"
    shell:
        "python -m cones features --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " > {log} 2>&1"
