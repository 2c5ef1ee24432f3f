# One cell: detections on the test split and their scores.


rule evaluate:
    input:
        unpack(context.features),
        state=rules.tune.output.state,
        record=rules.tune.output.record,
        weights="checkpoints/{model}.safetensors",
        manifest=context.manifest,
    output:
        metrics="results/{suite}/{model}/{dataset}/{arm}/seed{seed}/metrics.json",
        predictions="results/{suite}/{model}/{dataset}/{arm}/seed{seed}/predictions.json",
        run="results/{suite}/{model}/{dataset}/{arm}/seed{seed}/run.json",
    log:
        "logs/{suite}/{model}/{dataset}/{arm}/seed{seed}/evaluate.log",
    threads: 1
    resources:
        gpu=1,
    params:
        code=context.evaluate_digest,
    message:
        "scoring {wildcards.model} on {wildcards.dataset}: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones evaluate --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"
