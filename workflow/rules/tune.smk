# One cell: from base weights to its tuned state. Stage 2 reads the state of stage 1.


rule tune:
    input:
        unpack(context.tune_inputs),
    output:
        state="results/{suite}/{model}/{dataset}/{arm}/seed{seed}/state.safetensors",
        record="results/{suite}/{model}/{dataset}/{arm}/seed{seed}/tuning.json",
    log:
        "logs/{suite}/{model}/{dataset}/{arm}/seed{seed}/tune.log",
    threads: 1
    resources:
        gpu=1,
    params:
        digest=context.tune_digest,
    message:
        "tuning {wildcards.model} on {wildcards.dataset}: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones tune --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"
