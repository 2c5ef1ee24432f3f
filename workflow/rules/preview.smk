# Test pictures of a model and dataset, annotated beside predicted by each arm. No table needs it: it is a target of its own.


rule preview:
    input:
        unpack(context.inputs("preview")),
    output:
        steps["preview"].files,
    log:
        steps["preview"].log,
    localrule: True
    params:
        digest=context.digest("preview"),
    message:
        "drawing predictions of {wildcards.model} on {wildcards.dataset}"
    shell:
        "python -m cones preview-predictions --suite {wildcards.suite} --model {wildcards.model}"
        " --dataset {wildcards.dataset} > {log} 2>&1"
