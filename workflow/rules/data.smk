# From an archive to canonical COCO. Only `fetch` touches the network.


rule draw:
    output:
        steps["draw"].files,
    log:
        steps["draw"].log,
    localrule: True
    params:
        digest=context.digest("draw"),
    message:
        "drawing {wildcards.dataset}"
    shell:
        "python -m cones draw --dataset {wildcards.dataset} > {log} 2>&1"


rule fetch:
    input:
        unpack(context.inputs("fetch")),
    output:
        steps["fetch"].files,
    log:
        steps["fetch"].log,
    retries: 0
    localrule: True
    params:
        digest=context.digest("fetch"),
    message:
        "fetching {wildcards.dataset} ({wildcards.source})"
    shell:
        "python -m cones fetch --source {wildcards.source} --dataset {wildcards.dataset} > {log} 2>&1"


rule prepare:
    input:
        unpack(context.inputs("prepare")),
    output:
        steps["prepare"].files,
    log:
        steps["prepare"].log,
    params:
        digest=context.digest("prepare"),
    message:
        "preparing {wildcards.dataset} ({wildcards.source})"
    shell:
        "python -m cones prepare --source {wildcards.source} --dataset {wildcards.dataset} > {log} 2>&1"


rule downloads:
    input:
        context.of_datasets("fetch.json"),
        context.official_records(plan.suite.all_models),
        context.pretrained_records(),
    localrule: True
