"""AP on the validation split, by which epochs and a method's numbers are chosen."""

from cones.data.batches import Split
from cones.evaluation.coco_ap import average_precision
from cones.evaluation.prediction import predict
from cones.methods.method import TuningMethod
from cones.methods.prompts import Prompt
from cones.models.detector import GroundedDetector
from cones.runtime.precision import Precision


def validation_ap(
    model: GroundedDetector,
    prompt: Prompt,
    method: TuningMethod,
    val: Split,
    pyramids,
    *,
    label: str,
    precision: Precision,
) -> float | None:
    """AP in percent, of masks or else of boxes; None where there is nothing to find."""
    if not val.coco["annotations"]:
        return None
    results = predict(model, prompt, val, pyramids, label=label, detect=method.detect, precision=precision)
    return average_precision(val.coco, results, model.detections_per_image, val.iou_types[-1])
