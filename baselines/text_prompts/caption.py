"""Context vectors before the class names in the one caption that a detector reads: the path of CoOp's family there.

Of models with two encoders each class is a text of its own (`context.py`). A detector reads one caption of all classes,
"V1 V2 fish. V1 V2 shark.", whose words see each other; the rows of a class's name stand for it, and a context of N
vectors takes N rows for each class.
"""

from collections.abc import Sequence

from torch import Tensor

from cones.methods.method import PromptInputs
from cones.methods.prompts import SoftCaption
from cones.models.language import clean_class_name


def caption_with_context(prompt_inputs: PromptInputs, vectors: Tensor) -> SoftCaption:
    """Vectors (K, N, D), a context for each class, or (1, N, D), one for all -> the caption in which they train."""
    owners, tokens = vectors.shape[:2]
    class_slots: list[list[int | tuple[int, int]]] = []
    stands_for_class: list[list[bool]] = []
    for k, phrase in enumerate(prompt_inputs.phrases):
        pieces: Sequence[int] = prompt_inputs.tokenizer.encode(
            clean_class_name(phrase.name), add_special_tokens=False
        ).ids
        class_slots.append([(k if owners > 1 else 0, n) for n in range(tokens)] + list(pieces))
        stands_for_class.append([False] * tokens + [True] * len(pieces))
    return SoftCaption.of_classes(
        class_slots=class_slots, stands_for_class=stands_for_class, vectors=vectors, prompt_inputs=prompt_inputs
    )
