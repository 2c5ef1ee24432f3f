# Personalised generation: a subject is learnt, drawn and scored. Only `find_pretrained` touches the network.
generation = plan.suite.generation
WORLD = f"results/{{suite}}/{generation.model}/{generation.dataset}"
SUBJECT = f"{WORLD}-{{subject}}/{{arm}}/seed{{seed}}"
ARMS = "|".join(map(re.escape, generation.arms))
SUBJECT_LOG = SUBJECT.replace("results/", "logs/", 1)


wildcard_constraints:
    subject="|".join(plan.registry[generation.dataset].classes),


rule find_pretrained:
    input:
        lambda wildcards: context.shipped_files(wildcards.pretrained),
    output:
        "checkpoints/pretrained/{pretrained}.json",
    log:
        "logs/checkpoints/pretrained-{pretrained}.log",
    wildcard_constraints:
        pretrained="|".join(generation.pretrained),
    localrule: True
    params:
        code=digests.step_code("find_pretrained"),
        given=lambda wildcards: digests.pretrained_given(wildcards.pretrained),
    message:
        "finding the pretrained {wildcards.pretrained}"
    shell:
        "python -m cones generation find {wildcards.pretrained} --allow-download > {log} 2>&1"


rule encode_nouns:
    input:
        f"checkpoints/pretrained/{generation.model}.json",
        f"{plan.data_folder(generation.dataset)}/manifest.json",
    output:
        f"{WORLD}/text.safetensors",
    log:
        f"logs/{{suite}}/{generation.model}/{generation.dataset}/encode.log",
    resources:
        gpu=1,
    params:
        code=digests.step_code("encode_nouns"),
    message:
        f"class nouns of {generation.dataset} through the text encoder of {generation.model}"
    shell:
        "python -m cones generation encode --suite {wildcards.suite} > {log} 2>&1"


rule look_at_real_pictures:
    input:
        [f"checkpoints/pretrained/{name}.json" for name in generation.pretrained],
        f"{plan.data_folder(generation.dataset)}/manifest.json",
    output:
        f"{WORLD}/real.safetensors",
    log:
        f"logs/{{suite}}/{generation.model}/{generation.dataset}/look.log",
    resources:
        gpu=1,
    params:
        code=digests.step_code("look_at_real_pictures"),
    message:
        f"features of the real pictures of {generation.dataset}"
    shell:
        "python -m cones generation look --suite {wildcards.suite} > {log} 2>&1"


rule learn_subject:
    input:
        f"checkpoints/pretrained/{generation.model}.json",
        f"{plan.data_folder(generation.dataset)}/manifest.json",
        rules.encode_nouns.output,
    output:
        state=f"{SUBJECT}/state.safetensors",
        record=f"{SUBJECT}/tuning.json",
    log:
        f"{SUBJECT_LOG}/learn.log",
    wildcard_constraints:
        arm=ARMS,
    threads: 1
    resources:
        gpu=1,
    params:
        digest=context.learning_digest,
    message:
        f"learning {{wildcards.subject}} with {generation.model}: {{wildcards.arm}}, seed {{wildcards.seed}}"
    shell:
        "python -m cones generation learn --suite {wildcards.suite} --subject {wildcards.subject}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"


rule draw_subject:
    input:
        f"checkpoints/pretrained/{generation.model}.json",
        rules.encode_nouns.output,
        rules.learn_subject.output,
    output:
        [f"{SUBJECT}/images/{track}/prompts.json" for track in generation.pictures],
        record=f"{SUBJECT}/drawing.json",
    log:
        f"{SUBJECT_LOG}/draw.log",
    wildcard_constraints:
        arm=ARMS,
    threads: 1
    resources:
        gpu=1,
    params:
        code=digests.step_code("draw_subject"),
        pictures=generation.pictures,
    message:
        f"drawing {{wildcards.subject}} with {generation.model}: {{wildcards.arm}}, seed {{wildcards.seed}}"
    shell:
        "python -m cones generation draw --suite {wildcards.suite} --subject {wildcards.subject}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"


rule score_subject:
    input:
        rules.draw_subject.output,
        rules.learn_subject.output,
        rules.look_at_real_pictures.output,
        [f"checkpoints/pretrained/{name}.json" for name in generation.pretrained],
    output:
        f"{SUBJECT}/metrics.json",
        f"{SUBJECT}/run.json",
    log:
        f"{SUBJECT_LOG}/score.log",
    wildcard_constraints:
        arm=ARMS,
    threads: 1
    resources:
        gpu=1,
    params:
        code=digests.step_code("score_subject"),
    message:
        f"scoring {{wildcards.subject}} with {generation.model}: {{wildcards.arm}}, seed {{wildcards.seed}}"
    shell:
        "python -m cones generation score --suite {wildcards.suite} --subject {wildcards.subject}"
        " --arm {wildcards.arm} --seed {wildcards.seed} > {log} 2>&1"


subject_files = context.subject_files()


rule collect_subjects:
    input:
        subject_files,
        local(
            context.analysis_roll_call(
                "generation", subject_files, FILES_OF["generation"]
            )
        ),
    output:
        [f"results/{{suite}}/{name}" for name in FILES_OF["generation"]],
    log:
        "logs/{suite}/collect-generation.log",
    localrule: True
    params:
        code=code_digest("cones.steps.collect_subjects"),
        title=plan.suite.title,
        shown=[generation.figure3, generation.shown_arms],
    message:
        "collecting the subjects of suite {wildcards.suite}"
    shell:
        "python -m cones generation collect --suite {wildcards.suite} > {log} 2>&1"
