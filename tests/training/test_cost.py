"""Parameter counts, to the digit that the paper's Tables 1 and 2 print; their slips are named in docs/methods.md."""

import pytest
import torch

from cones.experiment.suite import cell_settings, load_suite
from cones.methods.method import METHODS, PromptInputs, TuningMethod
from cones.models.caption_style import CaptionStyle
from cones.models.checkpoints import build_detector, build_text_encoder
from cones.models.language import ClassPhrase, LanguageFeatures
from cones.outputs.reference import paper_value
from cones.training.cost import count_parameters
from cones.training.tuner import mark_trainable

CLASSES = 7
# (trained, all) where ours is not what the paper prints, and why
SLIPS = {
    ("glip_t", "textual_inversion", "all"): 231.96,  # printed 232.96: a typo
    ("glip_t", "full_finetuning", "trained"): 231.46,  # printed 231.15: the frozen stages subtracted twice
    ("glip_l", "cones_finetuned", "trained"): 320.31,  # printed 320.03: digits transposed
    ("uninext_r50", "textual_inversion", "all"): 166.56,  # printed 166.36: its own 0.20 left out
}
PRINTED = {"glip_t": "table1", "glip_l": "table1", "uninext_r50": "table2"}


class AnyWords:
    """Stands in for the BERT vocabulary, which is not shipped."""

    style = CaptionStyle()

    def token_to_id(self, _):
        return 1

    def encode(self, text, add_special_tokens=True):
        return type("Encoding", (), {"ids": [1] * len(text.split())})

    def phrases_of(self, ids):
        return None


@pytest.fixture(scope="module", params=list(PRINTED))
def model(request):
    """(name, detector, text encoder) without storage."""
    with torch.device("meta"):
        return request.param, build_detector(request.param), build_text_encoder(request.param)


def counts_of(method_name, model):
    _, detector, encoder = model
    way = TuningMethod.load(method_name)
    suite = load_suite("paper")
    text = LanguageFeatures.of_tokens_per_class(torch.zeros(CLASSES, 3, 768))
    prompt_inputs = PromptInputs(
        [ClassPhrase("thing")] * CLASSES, cell_settings(suite, "glip_t", method_name), torch.Generator(), 1.0, text
    )
    prompt_inputs.concepts, prompt_inputs.tokenizer, prompt_inputs.text_encoder = text, AnyWords(), encoder
    prompt = FullText(encoder) if method_name == "full_finetuning" else way.prompt(detector, prompt_inputs)
    listens = not method_name.startswith("cones")
    return count_parameters(
        detector,
        prompt,
        mark_trainable(detector, prompt, way),
        text_encoder=sum(parameter.numel() for parameter in encoder.parameters()) if listens else 0,
        fixed_rows=CLASSES * 3 if method_name == "cones_finetuned" else 0,
    )


class FullText(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.text_encoder = encoder


@pytest.mark.parametrize(
    "method",
    [name for name, entry in METHODS.items() if entry.class_name and entry.block in ("peft", "fine_tuning")],
)
def test_counts_are_those_the_paper_prints(model, method):
    name = model[0]
    counts = counts_of(method, model)
    for kind, found in (("trained", counts["paper"].trained), ("all", counts["paper"].total)):
        column = {"trained": "params_unfrozen_M", "all": "params_all_M"}[kind]
        expected = SLIPS.get((name, method, kind), paper_value(PRINTED[name], name, method, column))
        if expected is None:
            assert (name, method) == ("uninext_r50", "linear_probing")  # no row of Table 2
            continue
        assert f"{found / 1e6:.2f}" == f"{expected:.2f}", (name, method, kind)
    if method == "cones":
        assert counts["used"].trained == CLASSES * 3 * 768 and counts["paper"].trained == 256 * 768
        assert counts["used"].text_encoder == 0
    if method == "linear_probing":
        assert counts["used"].trained == (1_185_804 if name == "uninext_r50" else 198_919)
