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
        command=lambda wildcards: context.command("weights", "--model", wildcards.model),
    message:
        "base weights of {wildcards.model}"
    shell:
        "{params.command} > {log} 2>&1"
