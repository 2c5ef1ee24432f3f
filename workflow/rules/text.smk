# A frozen text encoder speaks once per dataset; every method that listens to class names reads this file.


rule text_states:
    input:
        unpack(context.inputs("text_states")),
    output:
        steps["text_states"].files,
    log:
        steps["text_states"].log,
    params:
        digest=context.digest("text_states"),
    message:
        "class names of {wildcards.dataset} through the text encoder of {wildcards.model}"
    shell:
        "python -m cones text --suite {wildcards.suite} --model {wildcards.model} --dataset {wildcards.dataset} > {log} 2>&1"
