"""What is fixed before a subject is learnt; defaults are the paper's, or the public textual-inversion protocol's."""

from typing import Literal

from pydantic import Field

from cones.runtime.precision import Precision
from cones.runtime.strict import Strict

PROBES = 64  # samples of the fixed probe set that shows how far learning has come


class SubjectTuning(Strict):
    """The budget and protocol every method shares, and how ConES places its vectors."""

    tokens: int = Field(1, ge=1, le=5, description="N vectors per subject (paper: 1)")
    mode: Literal["bare", "slot", "bos"] = Field("bare", description="where the UNet hears ConES's vectors")
    init: Literal["random", "class", "null"] = Field("random", description="how ConES's vectors start")
    init_std: float = Field(1.0, ge=0, description="standard deviation of a random start")
    learning_rate: float = Field(1e-3, gt=0, description="per optimiser step, not multiplied by the accumulation")
    weight_decay: float = Field(0.01, ge=0)
    steps: int = Field(3000, ge=0, description="optimiser steps; passes are this times `accumulation`")
    accumulation: int = Field(4, ge=1, description="passes whose gradients are averaged")
    batch: int = Field(1, ge=1, description="samples per pass")
    fit: Literal["crop", "squeeze"] = Field("crop", description="how a picture becomes square")
    cache_posteriors: bool = Field(True, description="encode each view once; equal in distribution to each time")
    probe_every: int = Field(100, ge=1, description="optimiser steps between two looks at the probe set")
    plateau_steps: int = Field(500, ge=1, description="no gain over so many optimiser steps is a plateau")
    plateau_gain: float = Field(1e-3, ge=0, description="less than this share of the best probe loss is no gain")
    stop_at_plateau: bool = False
    grid_every: int = Field(0, ge=0, description="optimiser steps between two grids of samples in the log folder")
    grid_pictures: int = Field(4, ge=1)
    precision: Precision = Field("bfloat16", description="in which a GPU learns and draws")
    guidance: float = Field(7.5, ge=1)
    sampling_steps: int = Field(50, ge=1)
