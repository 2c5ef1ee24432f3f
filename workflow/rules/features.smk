# A frozen image encoder sees each picture once: every cell of a model and dataset that leaves it frozen reads this file.


rule features:
    input:
        "checkpoints/{model}.safetensors",
        context.manifest,
    output:
        "features/{suite}/{model}/{dataset}.json",  # the index of the .bin beside it, which may be deleted
    log:
        "logs/{suite}/{model}/{dataset}/features.log",
    threads: 1
    resources:
        gpu=1,
    params:
        digest=context.features_digest,
    message:
        "image features of {wildcards.dataset} by {wildcards.model}"
    shell:
        "python -m cones features --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " > {log} 2>&1"
