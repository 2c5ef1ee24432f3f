"""Load a tuned cell: its detector and its prompt."""

from dataclasses import dataclass

import torch

from cones.evaluation.prediction import Detect
from cones.experiment.cell import Cell, Plan
from cones.methods.method import TuningMethod
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.detector import GroundedDetector
from cones.runtime.errors import ConesError
from cones.steps.base_model import base_detector
from cones.steps.tune import gather, state_file
from cones.training.state import State


@dataclass
class TunedDetector:
    """A detector and its prompt in eval mode; detect is the method's rule for test time, or None.

    text_encoder_parameters  those that stay in memory because the prompt needs them at test time
    """

    model: GroundedDetector
    prompt: Prompt
    detect: Detect | None
    text_encoder_parameters: int

    @property
    def parameters(self) -> int:
        """Values in memory: of the model and of the prompt, a text encoder in it included."""
        return sum(parameter.numel() for module in (self.model, self.prompt) for parameter in module.parameters())


def load_tuned(plan: Plan, cell: Cell, state: State, device: torch.device) -> TunedDetector:
    """Load the detector and prompt of a tuned cell.

    Of a static prompt the state holds the language features, and no text encoder is built; another prompt is made
    again as it was made for tuning, of files with the same content.
    """
    method, where, weights = TuningMethod.load(plan.settings(cell).method), state_file(cell), plan.weights(cell.model)
    model = base_detector(plan, cell.model)
    prompt_inputs, files, _ = gather(plan, cell, for_prompt=state.remake is not None)
    method.extend(model, prompt_inputs)
    state.apply_to(model, where=where, base_sha256=files[weights])
    if state.remake is None:
        found = method.prompt_at_test(state.language, prompt_inputs.settings)
        prompt: Prompt = FixedPrompt(state.language) if found is None else found
    else:
        now = {str(path): digest for path, digest in files.items()}
        for path, digest in state.remake.inputs_sha256.items():
            if now.get(path) != digest:
                raise ConesError(
                    "has changed since the cell was tuned, and its prompt is made of it",
                    where=path,
                    expected=f"sha256 {digest}",
                    found=now.get(path, "nothing"),
                    next_step="tune this cell again",
                )
        prompt = method.prompt(model, prompt_inputs)
        state.apply_to_prompt(prompt, where=where)
    encoder = prompt_inputs.text_encoder
    encoder_parameters = set() if encoder is None else {id(parameter) for parameter in encoder.parameters()}
    kept = sum(parameter.numel() for parameter in prompt.parameters() if id(parameter) in encoder_parameters)
    return TunedDetector(model.to(device).eval(), prompt.to(device).eval(), method.detect, kept)
