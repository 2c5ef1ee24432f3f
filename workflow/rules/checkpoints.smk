# Base weights of the models, as safetensors.


rule weights:
    output:
        "checkpoints/{model}.safetensors",
    log:
        "logs/checkpoints/{model}.log",
    localrule: True
    params:
        code=code_digest("cones.steps.weights"),
        settings=lambda wildcards: plan.suite.models[wildcards.model].initial_seed,
    message:
        "base weights of {wildcards.model}"
    shell:
        "python -m cones weights --model {wildcards.model} > {log} 2>&1"
