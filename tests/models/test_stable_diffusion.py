"""Learning a subject and drawing it again, on tiny random modules."""

import hashlib

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionPipeline
from models.tiny_diffusion import CPU, WIDTH, painted_subject, tiny_generator, tiny_scheduler, tiny_text

from cones.methods.contexts import ConceptContext, Context, PseudoWordContext, SubjectInputs
from cones.methods.method import METHODS, TuningMethod
from cones.models.generator import SubjectEmbedding
from cones.models.generators import GENERATORS
from cones.models.stable_diffusion.draws import PairedDraws, probe_draws
from cones.models.stable_diffusion.objective import denoising_loss
from cones.models.stable_diffusion.sampling import denoised, tiled_alike
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.models.stable_diffusion.views import posteriors, views
from cones.runtime.errors import ConesError
from cones.training.checkpoint import Checkpoint
from cones.training.subjects.learning import CachedLatents, EncodedLatents, plateau

SHORT = SubjectTuning(steps=4, accumulation=2, learning_rate=1e-2, probe_every=2)
MODES = ("bare", "slot", "bos")


def noisy(generator, batch=2, seed=0):
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn((batch, *generator.latent_shape), generator=random)
    return latents, torch.randn(latents.shape, generator=random), torch.tensor([700, 150][:batch])


def digest(module) -> str:
    content = [(name, value.numpy().tobytes()) for name, value in module.state_dict().items()]
    return hashlib.sha256(repr([(name, hashlib.sha256(raw).hexdigest()) for name, raw in content]).encode()).hexdigest()


# ------------------------------------------------------------------------------------------- the degenerate length


@pytest.mark.parametrize("tokens, length", [(1, 7), (2, 6), (3, 12)])
def test_repeating_the_whole_context_changes_nothing(tokens, length):
    generator = tiny_generator()
    latents, _, timesteps = noisy(generator)
    context = torch.randn(2, tokens, WIDTH)
    with torch.no_grad():
        plain = generator.unet(latents, timesteps, context).sample
        tiled = generator.unet(latents, timesteps, context.repeat(1, length // tokens, 1)).sample
        other = generator.unet(latents, timesteps, torch.cat([context, torch.randn(2, 1, WIDTH)], 1)).sample
    torch.testing.assert_close(plain, tiled, atol=1e-5, rtol=1e-5)
    assert (plain - other).abs().max() > 1e-4  # a token more does change it


@pytest.mark.parametrize("rows, common", [(1, 24), (2, 24), (3, 24), (5, 120)])
def test_contexts_of_two_lengths_are_repeated_to_the_least_common_one(rows, common):
    conditional, null = tiled_alike(torch.randn(2, rows, WIDTH), torch.randn(2, 24, WIDTH))
    assert conditional.shape[1] == null.shape[1] == common
    assert torch.equal(conditional[:, :rows], conditional[:, -rows:])


def test_one_bare_token_gives_queries_and_keys_no_gradient():
    generator = tiny_generator()
    generator.unet.requires_grad_(True)
    latents, noise, timesteps = noisy(generator)
    found = {}
    for tokens in (1, 2):
        generator.unet.zero_grad()
        context = torch.randn(2, tokens, WIDTH)
        denoising_loss(generator.unet, generator.scheduler, latents, noise, timesteps, context).mean().backward()
        grads = {name: p.grad.norm().item() for name, p in generator.unet.named_parameters() if "attn2" in name}
        found[tokens] = {
            part: sum(value for name, value in grads.items() if f"attn2.{part}" in name)
            for part in ("to_q", "to_k", "to_v")
        }
    assert found[1]["to_q"] < 1e-5 * found[1]["to_v"] and found[1]["to_k"] < 1e-5 * found[1]["to_v"]
    assert found[2]["to_q"] > 1e-4 * found[2]["to_v"] and found[2]["to_k"] > 1e-4 * found[2]["to_v"]


# -------------------------------------------------------------------------------------------- what the UNet hears


@pytest.mark.parametrize("mode, length", [("bare", 2), ("slot", 24), ("bos", 3)])
def test_where_the_concept_embeddings_stand(mode, length):
    null, vectors = torch.randn(1, 24, WIDTH), torch.randn(2, WIDTH)
    heard = ConceptContext(vectors, null, mode)(["a photo of a {}"] * 3)
    assert heard.shape == (3, length, WIDTH)
    start = 0 if mode == "bare" else 1
    assert torch.equal(heard[1, start : start + 2], vectors)
    if mode != "bare":
        assert torch.equal(heard[1, :1], null[0, :1])
    if mode == "slot":
        assert torch.equal(heard[1, 3:], null[0, 3:])


def test_starts_of_the_concept_embeddings():
    null, rows = torch.randn(1, 24, WIDTH), torch.randn(2, WIDTH)

    def started(**options):
        return ConceptContext.started(
            SubjectInputs("dog", torch.Generator().manual_seed(3), null, class_rows=rows, tokens=2, **options)
        ).vectors.detach()

    assert torch.equal(started(init="class"), rows.mean(0).repeat(2, 1))
    assert torch.equal(started(init="null"), null[0, 1:3])
    assert torch.equal(started(init_std=2.0), 2 * torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(3)))


def test_a_pseudo_word_that_has_not_learnt_says_the_class_noun_and_its_words_alone_get_gradients():
    torch.manual_seed(0)
    text = tiny_text()
    rows = len(text.encoder.get_input_embeddings().weight)
    context = PseudoWordContext(text, "stuffed animal", tokens=1)
    template = "a photo of a {} in the snow"
    heard = context([template, "a {}"])
    torch.testing.assert_close(heard, text.states([template.format("animal"), "a animal"]))
    text.encoder.requires_grad_(False)
    context([template]).sum().backward()
    assert context.vectors.grad.norm() > 0 and len(text.encoder.get_input_embeddings().weight) == rows
    assert not text.encoder.get_input_embeddings()._forward_hooks


def test_pseudo_words_that_do_not_fit_are_refused():
    context = PseudoWordContext(tiny_text(), "dog", tokens=3)
    with pytest.raises(ConesError, match="do not fit"):
        context(["a " * 25 + "{}"])


def test_a_spliced_embedding_stands_where_the_noun_stood():
    generator = tiny_generator()
    for vectors in (torch.randn(1, WIDTH), torch.randn(3, WIDTH)):
        learnt = SubjectEmbedding("cones", "stuffed animal", vectors, "bare")
        heard = generator.context_of(learnt, "a red {} in the snow")
        said = generator.text.states(["a red stuffed animal in the snow"])
        assert heard.shape == said.shape
        assert torch.equal(heard[0, 3 : 3 + len(vectors)], vectors) and torch.equal(heard[0, :3], said[0, :3])
        after = heard[0, 3 + len(vectors) : 10]
        torch.testing.assert_close(after, said[0, 5 : 5 + len(after)])


def test_which_methods_a_generator_carries():
    for name in METHODS:
        if METHODS[name].class_name is None:
            continue  # it classifies images, and is for no detector or generator
        method = TuningMethod.load(name)
        assert method.supports("glip_nano") is None
        for model in GENERATORS:
            carried = METHODS[name].context is not None
            assert carried == (name in {"zero_shot", "textual_inversion", "cones", "cones_finetuned"})
            assert (method.supports(model) is None) == carried
    with pytest.raises(ConesError, match="DreamBooth"):
        Context.of("full_finetuning", SubjectInputs("dog", torch.Generator(), torch.zeros(1, 24, WIDTH)))


# ------------------------------------------------------------------------------------------------------ paired draws


def test_the_draws_depend_on_seed_and_pass_alone():
    how = {"pictures": 5, "latent_shape": (4, 8, 8), "timesteps": 1000, "seed": 1}
    draws = PairedDraws(**how)
    one, again = draws(7), PairedDraws(**how)(7)
    assert one.views == again.views and torch.equal(one.noise, again.noise) and one.templates == again.templates
    assert torch.equal(one.timesteps, again.timesteps) and torch.equal(one.posterior_noise, again.posterior_noise)
    assert sorted(draws(number).views[0] % 5 for number in range(5, 10)) == [0, 1, 2, 3, 4]
    joined = PairedDraws(**how, batch=4)(1)
    assert torch.equal(joined.noise, torch.cat([draws(number).noise for number in range(4, 8)]))
    assert not torch.equal(PairedDraws(**{**how, "seed": 2})(7).noise, one.noise)


def test_the_probe_set_is_stratified_and_the_same_for_every_seed():
    probe = probe_draws(views=6, latent_shape=(4, 8, 8), timesteps=1000, template="a {}")
    bins = (probe.timesteps // 125).bincount(minlength=8)
    assert bins.tolist() == [8] * 8 and set(probe.views) == set(range(6))


def test_the_cache_equals_encoding_each_time_for_equal_noise(tmp_path):
    generator = tiny_generator()
    pictures = views(painted_subject(tmp_path).pictures, generator.side)
    assert torch.equal(pictures[0].flip(-1), pictures[3]) and pictures.shape == (6, 3, 16, 16)
    cached = CachedLatents(posteriors(generator.autoencoder, pictures), generator.autoencoder.config.scaling_factor)
    encoded = EncodedLatents(generator.autoencoder, pictures)
    draws = PairedDraws(pictures=3, latent_shape=generator.latent_shape, timesteps=1000, seed=0, batch=2)
    for number in range(3):
        torch.testing.assert_close(cached(draws(number)), encoded(draws(number)), atol=1e-5, rtol=1e-5)
    # and to the autoencoder's own way of sampling
    posterior = generator.autoencoder.encode(pictures[:1]).latent_dist
    draw = draws(0)
    own = 0.5 * (posterior.mean + posterior.std * draw.posterior_noise[:1])
    draw.views[0] = 0
    torch.testing.assert_close(cached(draw)[:1], own)


# ---------------------------------------------------------------------------------------------------------- learning


def learner_of(generator, folder, method="cones", tuning=SHORT, seed=0):
    subject = painted_subject(folder)
    context = Context.of(method, generator.prompt_inputs(subject, tuning, seed))
    return generator.learner(subject, context, tuning=tuning, seed=seed, folder=folder, inputs=method)


@pytest.mark.parametrize("method", ["cones", "textual_inversion"])
def test_only_the_embedding_changes(method, tmp_path):
    generator = tiny_generator()
    parts = [generator.unet, generator.autoencoder, generator.text.encoder]
    before = [digest(part) for part in parts]
    start = Context.of(method, generator.prompt_inputs(painted_subject(tmp_path), SHORT, 0)).vectors.detach()
    learnt = generator.learn(painted_subject(tmp_path), method, tuning=SHORT, seed=0, folder=tmp_path)
    assert [digest(part) for part in parts] == before
    assert not torch.equal(learnt.vectors, start)
    record = learnt.record
    assert record["optimiser_steps"] == 4 and record["passes"] == 8 and len(record["loss_curve"]) == 4
    assert record["trained_values"] == WIDTH and record["stored_bytes"] == 4 * WIDTH
    assert [probe["step"] for probe in record["probe_curve"]] == [0, 2, 4]
    assert not (tmp_path / "resume.pt").exists()


def test_four_passes_of_one_give_the_gradient_of_one_pass_of_four(tmp_path):
    gradients = []
    for accumulation, batch in ((4, 1), (1, 4)):
        tuning = SubjectTuning(steps=1, accumulation=accumulation, batch=batch)
        learner = learner_of(tiny_generator(), tmp_path, tuning=tuning)
        learner.step(range(accumulation))
        gradients.append(learner.context.vectors.grad.clone())
    torch.testing.assert_close(*gradients, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_fitting_one_view_lowers_its_loss(mode, prediction_type, tmp_path):
    tuning = SubjectTuning(mode=mode, tokens=2, learning_rate=0.05, steps=1)
    learner = learner_of(tiny_generator(prediction_type=prediction_type), tmp_path, tuning=tuning)
    draw = learner.draws(0)
    losses = []
    for _ in range(30):
        learner.optimiser.zero_grad()
        loss = learner.denoising_errors(draw).mean()
        loss.backward()
        learner.optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and min(losses) == pytest.approx(losses[-1], rel=0.02)


def test_a_run_that_was_cut_off_ends_in_the_same_vectors(tmp_path, monkeypatch):
    whole = learner_of(tiny_generator(), tmp_path)
    whole.run()
    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)
    cut = learner_of(tiny_generator(), tmp_path)

    def die(step):
        if step == 3:
            raise KeyboardInterrupt

    cut.on_step = die
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    resumed = learner_of(tiny_generator(), tmp_path)
    assert resumed.run().step == 4
    assert torch.equal(resumed.context.vectors, whole.context.vectors)
    assert resumed.progress.probes == whole.progress.probes
    other = learner_of(tiny_generator(), tmp_path, seed=1)
    other.resume()
    assert other.progress.step == 0, "a checkpoint of another seed was taken up"


def test_the_plateau_is_where_the_best_has_stopped_falling():
    def curve(*losses):
        return [{"step": 100 * number, "loss": loss} for number, loss in enumerate(losses)]

    falling = curve(*(1 - 0.05 * number for number in range(10)))
    assert plateau(falling, 300, 1e-3) is None
    assert plateau(curve(1.0, 0.9, 0.8, 0.8, 0.81, 0.7999, 0.5), 300, 1e-3) == 500
    assert plateau(curve(1.0, 1.1), 300, 1e-3) is None


def test_learning_stops_at_a_plateau_when_told_to(tmp_path):
    tuning = SubjectTuning(
        steps=30, accumulation=1, learning_rate=1e-12, probe_every=2, plateau_steps=4, stop_at_plateau=True
    )
    learner = learner_of(tiny_generator(), tmp_path, tuning=tuning)
    assert learner.run().step == 4 == learner.progress.plateau_step


def test_grids_of_samples_lie_in_the_folder(tmp_path):
    tuning = SubjectTuning(steps=2, accumulation=1, grid_every=2, grid_pictures=2, sampling_steps=2)
    tiny_generator().learn(painted_subject(tmp_path), "cones", tuning=tuning, seed=0, folder=tmp_path / "logs")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["grid_00002.png"]


# ---------------------------------------------------------------------------------------------------------- sampling


def test_equal_seeds_start_all_methods_from_the_same_noise_and_repeat(tmp_path):
    generator = tiny_generator()
    learnt = SubjectEmbedding("cones", "dog", torch.randn(1, WIDTH), "bare")
    class_name = SubjectEmbedding("zero_shot", "dog")

    def drawn(embedding, seed, guidance=3.0):
        return [p.tobytes() for p in generator.sample(embedding, [None], seed, count=2, guidance=guidance, steps=3)[0]]

    assert drawn(learnt, 0) == drawn(learnt, 0) != drawn(learnt, 1)
    assert drawn(learnt, 0) != drawn(class_name, 0)


@pytest.mark.parametrize("positions", [1, 3 * 8 * 8, 10**6])
def test_pictures_are_those_of_their_prompt_however_many_are_drawn_at_once(positions, monkeypatch):
    generator = tiny_generator()
    class_name = SubjectEmbedding("zero_shot", "dog")
    prompts = ["a {} in the snow", "a red {}"]
    alone = [generator.sample(class_name, [prompt], 0, count=2, steps=3)[0] for prompt in prompts]
    monkeypatch.setattr("cones.training.subjects.generator.SAMPLING_POSITIONS", positions)
    together = generator.sample(class_name, prompts, 0, count=2, steps=3)
    difference = np.abs(np.array(together, dtype=float) - np.array(alone, dtype=float))
    assert difference.max() <= 1  # of 255: the last bits of a batch depend on its size
    assert not np.array_equal(*alone)


@pytest.mark.parametrize("mode", MODES)
def test_without_a_text_encoder_concepts_are_learnt_and_drawn_and_nothing_else(mode, tmp_path):
    generator = tiny_generator(with_text=False)
    tuning = SubjectTuning(steps=1, accumulation=1, mode=mode, tokens=2)
    learnt = generator.learn(painted_subject(tmp_path), "cones", tuning=tuning, seed=0, folder=tmp_path)
    learnt.save(tmp_path / "rex.safetensors", "base")
    read = SubjectEmbedding.load(tmp_path / "rex.safetensors", "base")
    assert torch.equal(read.vectors, learnt.vectors) and read.mode == mode
    ((picture,),) = generator.sample(read, [None], 0, steps=2)
    assert picture.size == (16, 16)
    with pytest.raises(ConesError, match="no text context"):
        generator.sample(read, ["a {} in the snow"], 0, steps=2)


@pytest.mark.parametrize("kind", [DDIMScheduler, PNDMScheduler])  # the house's, and 1.5's own
def test_sampling_equals_the_stock_pipeline_that_is_given_embeddings_only(kind):
    generator = tiny_generator()
    options = {"skip_prk_steps": True} if kind is PNDMScheduler else {}
    generator.scheduler = kind.from_config(tiny_scheduler().config, **options)
    pipeline = StableDiffusionPipeline(
        vae=generator.autoencoder,
        text_encoder=None,
        tokenizer=None,
        unet=generator.unet,
        scheduler=kind.from_config(generator.scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(1, *generator.latent_shape)
    context, null = torch.randn(1, 2, WIDTH), generator.states.null
    conditional, unconditional = tiled_alike(context, null)
    stock = pipeline(
        prompt_embeds=conditional,
        negative_prompt_embeds=unconditional,
        latents=noise,
        num_inference_steps=4,
        guidance_scale=3.0,
        output_type="latent",
    ).images
    ours = denoised(generator.unet, generator.scheduler, noise, context, null, guidance=3.0, steps=4)
    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=1e-4)
    assert generator.device == CPU
