# From an archive to canonical COCO. Only `fetch` touches the network.


rule draw:
    output:
        f"{plan.suite.data_dir}/miniature/mirror/{{dataset}}/{{archive}}",
    log:
        "logs/data/miniature/{dataset}/draw-{archive}.log",
    localrule: True
    params:
        code=digests.step_code("draw"),
        entry=context.dataset_digest,
    message:
        "drawing {wildcards.dataset}"
    shell:
        "python -m cones draw --dataset {wildcards.dataset} > {log} 2>&1"


rule fetch:
    input:
        context.fetch_inputs,
    output:
        f"{plan.suite.data_dir}/{{source}}/{{dataset}}/fetch.json",
    log:
        "logs/data/{source}/{dataset}/fetch.log",
    retries: 0
    localrule: True
    params:
        code=digests.step_code("fetch"),
        entry=context.dataset_digest,
        drop=context.drop_digest,
        given=context.credentials_digest,
    message:
        "fetching {wildcards.dataset} ({wildcards.source})"
    shell:
        "python -m cones fetch --source {wildcards.source} --dataset {wildcards.dataset} > {log} 2>&1"


rule prepare:
    input:
        rules.fetch.output,
    output:
        f"{plan.suite.data_dir}/{{source}}/{{dataset}}/manifest.json",
        f"{plan.suite.data_dir}/{{source}}/{{dataset}}/train.json",
        f"{plan.suite.data_dir}/{{source}}/{{dataset}}/val.json",
        f"{plan.suite.data_dir}/{{source}}/{{dataset}}/test.json",
    log:
        "logs/data/{source}/{dataset}/prepare.log",
    params:
        code=context.prepare_digest,
        entry=context.dataset_digest,
    message:
        "preparing {wildcards.dataset} ({wildcards.source})"
    shell:
        "python -m cones prepare --source {wildcards.source} --dataset {wildcards.dataset} > {log} 2>&1"


rule downloads:
    input:
        context.of_datasets("fetch.json"),
        context.official_records(plan.suite.models),
        context.pretrained_records(),
    localrule: True
