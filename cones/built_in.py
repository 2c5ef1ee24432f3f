"""What ships with the project: the names of each registry, and the module that says all about each.

A new method, model family, format or output is one file and one line here. No step's code digest counts this file
(registries name it in a string), so a line changes nothing that is already made.
"""

METHODS = {
    "zero_shot": "baselines.zero_shot",
    "linear_probing": "baselines.linear_probing",
    "textual_inversion": "baselines.textual_inversion",
    "prompt_tuning": "baselines.prompt_tuning",
    "cones": "cones.search",
    "full_finetuning": "baselines.full_finetuning",
    "cones_finetuned": "cones.finetune",
    # not rows of the paper's Table 1
    "added_table": "baselines.added_table",
    "cones_text_init": "baselines.controls",
    "cones_step0": "baselines.controls",
    # for models with two encoders alone
    "zero_shot_ensemble": "baselines.zero_shot",
    "zs_linear_probe": "baselines.adapters.zs_linear_probe",
    "taskres": "baselines.adapters.taskres",
    "clip_adapter": "baselines.adapters.clip_adapter",
    "tip_adapter": "baselines.adapters.tip_adapter",
    "tip_adapter_f": "baselines.adapters.tip_adapter",
    "svl_adapter": "baselines.adapters.svl_adapter",
    "vt_clip": "baselines.adapters.vt_clip",
    "calip": "baselines.training_free.calip",
    "cupl": "baselines.training_free.cupl",
    "vcd": "baselines.training_free.vcd",
    "wise_ft": "baselines.weights.wise_ft",
    "wise_ft_full": "baselines.weights.wise_ft",
    "coop": "baselines.text_prompts.coop",
    "kgcoop": "baselines.text_prompts.kgcoop",
    "prograd": "baselines.text_prompts.prograd",
    "subpt": "baselines.text_prompts.subpt",
    "upl": "baselines.text_prompts.upl",
    "lasp": "baselines.text_prompts.lasp",
    "cocoop": "baselines.text_prompts.cocoop",
    "plot": "baselines.text_prompts.plot",
    "variational": "baselines.text_prompts.variational",
    "tpt": "baselines.text_prompts.tpt",
    "protect": "baselines.text_prompts.protect",
    "softcpt": "baselines.text_prompts.softcpt",
}

MODELS = {
    "glip": "cones.models.glip.family",
    "uninext": "cones.models.uninext.family",
    "grounding_dino": "cones.models.grounding_dino.family",
    "clip": "cones.models.clip.family",
}

FORMATS = {
    "coco": "cones.data.formats.coco",
    "voc": "cones.data.formats.voc",
    "yolo": "cones.data.formats.yolo",
    "labelme": "cones.data.formats.labelme",
    "cvat": "cones.data.formats.cvat",
    "nifti": "cones.data.formats.nifti",
    "dicom": "cones.data.formats.dicom",
    "masks": "cones.data.formats.masks",
    "isic2016": "cones.data.formats.isic2016",
    "csv_boxes": "cones.data.formats.csv_boxes",
    "instance_maps": "cones.data.formats.instance_maps",
    "tbx11k": "cones.data.formats.tbx11k",
    "luna16": "cones.data.formats.luna16",
    "adni": "cones.data.formats.adni",
    "tn3k": "cones.data.formats.tn3k",
    "kvasir_seg": "cones.data.formats.kvasir_seg",
    "cityscapes": "cones.data.formats.cityscapes",
    "dreambooth": "cones.data.formats.dreambooth",
    "class_folders": "cones.data.formats.class_folders",
    "coop_split": "cones.data.formats.coop_split",
    "fgvc_aircraft": "cones.data.formats.fgvc_aircraft",
    "imagenet_folders": "cones.data.formats.imagenet_folders",
}

# in the order of the report
OUTPUTS = {
    "table1": "cones.outputs.table1",
    "table1_modern": "cones.outputs.table1_modern",
    "table8": "cones.outputs.table8",
    "table10": "cones.outputs.table10",
    "ranks": "cones.outputs.ranks",
    "table2": "cones.outputs.table2",
    "per_class": "cones.outputs.per_class",
    "table3": "cones.outputs.table3",
    "figure4": "cones.outputs.figure4",
    "table4": "cones.outputs.table4",
    "table5": "cones.outputs.table5",
    "table7": "cones.outputs.table7",
    "table9": "cones.outputs.table9",
    "starts": "cones.outputs.variants",
    "variants": "cones.outputs.variants",
    "generation": "cones.outputs.generation",
    "survey": "cones.outputs.survey",
    "survey_ranks": "cones.outputs.survey_ranks",
    "survey_few_shot": "cones.outputs.survey_few_shot",
    "survey_base_to_new": "cones.outputs.survey_base_to_new",
    "survey_shift": "cones.outputs.survey_shift",
    "survey_hierarchy": "cones.outputs.survey_hierarchy",
    "efficiency": "cones.outputs.efficiency",
}
