# A frozen text encoder speaks once per dataset; every method that listens to class names reads this file.


rule text_states:
    input:
        "checkpoints/{model}.safetensors",
        context.manifest,
    output:
        "results/{suite}/{model}/{dataset}/text.safetensors",
    log:
        "logs/{suite}/{model}/{dataset}/text.log",
    params:
        code=lambda wildcards: digests.model_code("text_states", wildcards.model),
        prompts=plan.suite.prompts,
    message:
        "class names of {wildcards.dataset} through the text encoder of {wildcards.model}"
    shell:
        "python -m cones text --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset} > {log} 2>&1"
