"""The precisions in which a GPU may compute; a CPU computes in float32."""

from typing import Literal

Precision = Literal["float32", "bfloat16", "float16"]
