# The class vectors of a cell, for Figures 4 and 5 and Table 3.


rule embed:
    input:
        state=rules.tune.output.state,
        record=rules.tune.output.record,
        weights="checkpoints/{model}.safetensors",
        manifest=context.manifest,
    output:
        "results/{suite}/{model}/{dataset}/{arm}/seed{seed}/embeddings.safetensors",
    log:
        "logs/{suite}/{model}/{dataset}/{arm}/seed{seed}/embed.log",
    threads: 1
    resources:
        gpu=1,
    params:
        code=context.embed_digest,
        boxes=lambda wildcards: plan.compares_boxes(context.cell(wildcards)),
        prompts=plan.suite.prompts,
    message:
        "class vectors of {wildcards.model} on {wildcards.dataset}: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones embed --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"
