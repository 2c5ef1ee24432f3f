# Base weights of the models, as safetensors. Only `checkpoint` touches the network.


rule checkpoint:
    output:
        "checkpoints/official/{name}.json",
    log:
        "logs/checkpoints/official-{name}.log",
    localrule: True
    params:
        code=digests.step_code("checkpoint"),
        file=lambda wildcards: digests.official_file(wildcards.name),
    message:
        "fetching the official {wildcards.name}"
    shell:
        "python -m cones checkpoint {wildcards.name} > {log} 2>&1"


rule weights:
    input:
        context.weights_inputs,
    output:
        "checkpoints/{model}.safetensors",
    log:
        "logs/checkpoints/{model}.log",
    params:
        code=lambda wildcards: digests.model_code("weights", wildcards.model),
        seed=lambda wildcards: plan.suite.models[wildcards.model].initial_seed,
    message:
        "base weights of {wildcards.model}"
    shell:
        "python -m cones weights --model {wildcards.model} > {log} 2>&1"


# never part of another target: the project ships what this makes
rule pretrain:
    output:
        "results/pretraining/{model}.safetensors",
        "results/pretraining/{model}.json",
    log:
        "logs/pretraining/{model}.log",
    params:
        code=lambda wildcards: digests.model_code("pretrain", wildcards.model),
    message:
        "pretraining {wildcards.model}: most of an hour"
    shell:
        "python -m cones pretrain {wildcards.model} > {log} 2>&1"
