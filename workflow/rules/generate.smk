# Personalised generation: a subject is learnt, drawn and scored. Only `find_pretrained` touches the network.
generation = plan.suite.generation
ARMS = "|".join(map(re.escape, generation.arms))


wildcard_constraints:
    subject="|".join(plan.registry[generation.dataset].classes),


rule find_pretrained:
    input:
        unpack(context.inputs("find_pretrained")),
    output:
        steps["find_pretrained"].files,
    log:
        steps["find_pretrained"].log,
    wildcard_constraints:
        name="|".join(generation.pretrained),
    localrule: True
    params:
        digest=context.digest("find_pretrained"),
    message:
        "finding the pretrained {wildcards.name}"
    shell:
        "python -m cones generation find {wildcards.name} --allow-download > {log} 2>&1"


rule encode_nouns:
    input:
        unpack(context.inputs("encode_nouns")),
    output:
        steps["encode_nouns"].files,
    log:
        steps["encode_nouns"].log,
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("encode_nouns"),
    message:
        f"class nouns of {generation.dataset} through the text encoder of {generation.model}"
    shell:
        "python -m cones generation encode --suite {wildcards.suite} > {log} 2>&1"


rule look_at_real_pictures:
    input:
        unpack(context.inputs("look_at_real_pictures")),
    output:
        steps["look_at_real_pictures"].files,
    log:
        steps["look_at_real_pictures"].log,
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("look_at_real_pictures"),
    message:
        f"features of the real pictures of {generation.dataset}"
    shell:
        "python -m cones generation look --suite {wildcards.suite} > {log} 2>&1"


rule learn_subject:
    input:
        unpack(context.inputs("learn_subject")),
    output:
        steps["learn_subject"].files,
    log:
        steps["learn_subject"].log,
    wildcard_constraints:
        arm=ARMS,
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("learn_subject"),
    message:
        f"learning {{wildcards.subject}} with {generation.model}: {{wildcards.arm}}, seed {{wildcards.seed}}"
    shell:
        "python -m cones generation learn --suite {wildcards.suite} --subject {wildcards.subject}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"


rule draw_subject:
    input:
        unpack(context.inputs("draw_subject")),
    output:
        steps["draw_subject"].files,
    log:
        steps["draw_subject"].log,
    wildcard_constraints:
        arm=ARMS,
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("draw_subject"),
    message:
        f"drawing {{wildcards.subject}} with {generation.model}: {{wildcards.arm}}, seed {{wildcards.seed}}"
    shell:
        "python -m cones generation draw --suite {wildcards.suite} --subject {wildcards.subject}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"


rule score_subject:
    input:
        unpack(context.inputs("score_subject")),
    output:
        steps["score_subject"].files,
    log:
        steps["score_subject"].log,
    wildcard_constraints:
        arm=ARMS,
    threads: 1
    resources:
        gpu=context.gpus,
    params:
        digest=context.digest("score_subject"),
    message:
        f"scoring {{wildcards.subject}} with {generation.model}: {{wildcards.arm}}, seed {{wildcards.seed}}"
    shell:
        "python -m cones generation score --suite {wildcards.suite} --subject {wildcards.subject}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"
