"""Step `pretrain sd_nano`: train the nano diffusion model on painted icons, and write its pipeline and record."""

import copy
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.miniature.icon_classifier import IconClassifier, accuracy
from cones.miniature.icons import Icon
from cones.miniature.pretraining.curve import PretrainingRun
from cones.miniature.pretraining.diffusion import gate, parts, recipe
from cones.miniature.pretraining.diffusion.losses import AutoencoderLoss, ClassifierLoss, DenoiserLoss, reconstructed
from cones.miniature.pretraining.diffusion.pictures import painted_icons, scaled
from cones.miniature.pretraining.diffusion.stage import StageTraining
from cones.miniature.pretraining.diffusion.words import build_tokenizer
from cones.models.generators import SHIPPED as NAME
from cones.runtime.artifacts import replacing, replacing_directory, save_tensors, sha256, write_json
from cones.runtime.determinism import make_deterministic, seed_of
from cones.runtime.progress import log
from cones.runtime.provenance import settings_digest

SEED = 0


def pretrain_diffusion(folder: Path) -> None:
    """Writes `<folder>/sd_nano/` (a pipeline directory, half precision, classifier and record.json inside) and
    `sd_nano.png`, the caption grid; an interrupted run goes on where it was, from files in `sd_nano.work/`."""
    make_deterministic(torch.device("cpu"))
    torch.set_num_threads(1)
    work = folder / f"{NAME}.work"
    icons, pictures = painted_icons(SEED, recipe.PICTURES, recipe.SIDE, work / "pictures.npy")
    held_out, shown = icons[: recipe.HELD_OUT], scaled(pictures[: recipe.HELD_OUT])
    runs: dict[str, PretrainingRun] = {}
    autoencoder, runs["autoencoder"] = _autoencoder(pictures, work)
    quality = _quality(autoencoder, shown)
    log.info("autoencoder: %s", quality)
    classifier, runs["classifier"] = _classifier(autoencoder, pictures, icons, work)
    ceilings = gate.ceilings(classifier, autoencoder, shown, held_out)
    log.info("classifier: %s", ceilings)
    denoiser, rounds = _denoiser(autoencoder, pictures, icons, work)
    runs |= rounds
    pipeline = {**denoiser, "vae": autoencoder, "scheduler": parts.build_scheduler()}
    wanted = gate.caption_grid()
    drawn = gate.pictures_of_grid(
        pipeline["unet"],
        pipeline["text_encoder"],
        pipeline["tokenizer"],
        autoencoder,
        pipeline["scheduler"],
        autoencoder.config.scaling_factor,
        wanted,
    )
    scores = accuracy(classifier, drawn, wanted)
    log.info("caption grid: %s", scores)
    with replacing(folder / f"{NAME}.png") as temporary:
        gate.contact_sheet(drawn, columns=12).save(temporary)
    record = {
        "model": NAME,
        "recipe": {stage: asdict(getattr(recipe, stage.upper())) for stage in runs},
        "pictures": recipe.PICTURES,
        "torch": torch.__version__,
        "minutes": {stage: round(run.seconds / 60, 1) for stage, run in runs.items()},
        "loss_curves": {stage: run.curve for stage, run in runs.items()},
        "autoencoder": quality,
        "classifier": ceilings,
        "caption_grid": scores,
    }
    _write(folder / NAME, pipeline, classifier, record)


def _trained(name: str, modules: dict[str, nn.Module], loss, stage: recipe.Stage, inputs: str, work: Path):
    """The averaged modules of a stage, in eval mode, and how it went. `loss` is made of the modules that train."""
    training = StageTraining(
        name=name,
        modules=nn.ModuleDict(modules),
        loss=loss,
        stage=stage,
        inputs=inputs,
        checkpoint=work / f"{name}.pt",
    )
    run = training.run()
    return dict(training.average.items()), run


def _fresh(build, *arguments) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(NAME, build.__name__, SEED))
        return build(*arguments)


def _autoencoder(pictures: Tensor, work: Path) -> tuple[nn.Module, PretrainingRun]:
    module = _fresh(parts.build_autoencoder)
    stage = recipe.AUTOENCODER
    loss = AutoencoderLoss(module, pictures, stage)
    trained, run = _trained("autoencoder", {"vae": module}, loss, stage, "", work)
    autoencoder = trained["vae"]
    means = parts.encoded(autoencoder, scaled(pictures[:2048])).chunk(2, dim=1)[0]
    autoencoder.register_to_config(scaling_factor=round(1 / means.std().item(), 5))
    return autoencoder, run


def _quality(autoencoder: nn.Module, shown: Tensor) -> dict[str, float]:
    patch = recipe.SIDE // recipe.LATENT_SIDE
    return {
        "psnr": gate.decibels(reconstructed(autoencoder, shown), shown),
        "psnr_of_linear_code": gate.principal_components_floor(shown, patch, recipe.LATENT_CHANNELS),
        "scaling_factor": autoencoder.config.scaling_factor,
    }


def _classifier(autoencoder, pictures: Tensor, icons: list[Icon], work: Path) -> tuple[IconClassifier, PretrainingRun]:
    module, stage = _fresh(IconClassifier), recipe.CLASSIFIER
    loss = ClassifierLoss(module, autoencoder, pictures, icons, stage)
    trained, run = _trained("classifier", {"classifier": module}, loss, stage, _digest_of(autoencoder), work)
    return trained["classifier"], run


def _denoiser(autoencoder, pictures: Tensor, icons: list[Icon], work: Path) -> tuple[dict, dict[str, PretrainingRun]]:
    tokenizer = build_tokenizer()
    modules = {"unet": _fresh(parts.build_unet), "text_encoder": _fresh(parts.build_text_encoder, tokenizer)}
    loss = DenoiserLoss(
        **modules,
        tokenizer=tokenizer,
        scheduler=parts.build_scheduler(),
        posteriors=torch.cat([parts.encoded(autoencoder, scaled(some)).half() for some in pictures.split(1024)]),
        icons=icons,
        scaling=autoencoder.config.scaling_factor,
        stage=recipe.DENOISER,
    )
    digest = _digest_of(autoencoder)
    first, run = _trained("denoiser", modules, loss, recipe.DENOISER, digest, work)
    modules = {name: module.requires_grad_(True) for name, module in first.items()}
    loss = replace(loss, **modules, stage=recipe.DENOISER_AGAIN)
    trained, again = _trained("denoiser_again", modules, loss, recipe.DENOISER_AGAIN, digest, work)
    return {**trained, "tokenizer": tokenizer}, {"denoiser": run, "denoiser_again": again}


def _digest_of(autoencoder: nn.Module) -> str:
    return settings_digest([float(value.double().sum()) for value in autoencoder.state_dict().values()])


def _write(target: Path, pipeline: dict, classifier: IconClassifier, record: dict) -> None:
    from diffusers import StableDiffusionPipeline

    half = {
        name: copy.deepcopy(part).half() if isinstance(part, nn.Module) else part for name, part in pipeline.items()
    }
    with replacing_directory(target) as temporary:
        StableDiffusionPipeline(
            **half, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        ).save_pretrained(temporary)
        tensors = {name: value.half() for name, value in classifier.state_dict().items()}
        save_tensors(temporary / "classifier.safetensors", tensors, {"recipe": f"python -m cones pretrain {NAME}"})
        files = sorted(path for path in temporary.rglob("*.safetensors"))
        record["sha256"] = {str(path.relative_to(temporary)): sha256(path) for path in files}
        record["bytes"] = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
        record["parameters"] = {
            n: sum(p.numel() for p in m.parameters()) for n, m in half.items() if hasattr(m, "parameters")
        }
        write_json(temporary / "record.json", record)
