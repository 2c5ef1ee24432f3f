# Models with two encoders: image features once per model and dataset; then one job fits and scores each cell.
from cones.experiment.classification_cells import classified_settings
from cones.experiment.classification_steps import KINDS

classified = classified_settings(plan)


rule encode_images:
    input:
        unpack(context.inputs("encode_images")),
    output:
        steps["encode_images"].files,
    log:
        steps["encode_images"].log,
    wildcard_constraints:
        model=one_of(plan.classification.models),
        dataset=one_of(plan.classification.datasets),
        name=one_of(KINDS),
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("encode_images"),
    message:
        "{wildcards.name} image features of {wildcards.dataset} by {wildcards.model}"
    shell:
        "python -m cones classification encode {wildcards.name} --suite {wildcards.suite} --model {wildcards.model}"
        " --dataset {wildcards.dataset} > {log} 2>&1"


rule self_supervise:
    input:
        unpack(context.inputs("self_supervise")),
    output:
        steps["self_supervise"].files,
    log:
        steps["self_supervise"].log,
    wildcard_constraints:
        dataset=one_of(plan.classification.datasets),
    threads: 1
    resources:
        gpu=lambda wildcards: context.gpus_of_any(plan.classification.models),
    params:
        digest=context.digest("self_supervise"),
    message:
        "a network trained on the images of {wildcards.dataset} without labels"
    shell:
        "python -m cones classification self-supervise --suite {wildcards.suite} --dataset {wildcards.dataset}"
        " > {log} 2>&1"


rule classify:
    input:
        unpack(context.inputs("classify")),
    output:
        steps["classify"].files,
    log:
        steps["classify"].log,
    wildcard_constraints:
        model=one_of(plan.classification.models),
        dataset=one_of(classified),
        arm=one_of(plan.classification.arms),
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("classify"),
    message:
        "classifying {wildcards.dataset} with {wildcards.model}: {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "python -m cones classification fit --suite {wildcards.suite} --model {wildcards.model}"
        " --setting {wildcards.dataset} --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"
