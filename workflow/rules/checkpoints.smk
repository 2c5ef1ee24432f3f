# Base weights of the models, as safetensors. Only `checkpoint` touches the network.


rule checkpoint:
    output:
        steps["checkpoint"].files,
    log:
        steps["checkpoint"].log,
    localrule: True
    params:
        digest=context.digest("checkpoint"),
    message:
        "fetching the official {wildcards.name}"
    shell:
        "python -m cones checkpoint {wildcards.name} > {log} 2>&1"


rule weights:
    input:
        unpack(context.inputs("weights")),
    output:
        steps["weights"].files,
    log:
        steps["weights"].log,
    params:
        digest=context.digest("weights"),
        model=lambda wildcards: context.model_of(wildcards.weights),
    message:
        "base weights of {params.model}"
    shell:
        "python -m cones weights --model {params.model} > {log} 2>&1"


# never part of another target: the project ships what this makes
rule pretrain:
    output:
        "results/pretraining/{model}.safetensors",
        "results/pretraining/{model}.json",
    log:
        "logs/pretraining/{model}.log",
    params:
        code=lambda wildcards: digests.pretraining_code(wildcards.model),
    message:
        "pretraining {wildcards.model}: most of an hour"
    shell:
        "python -m cones pretrain {wildcards.model} > {log} 2>&1"
