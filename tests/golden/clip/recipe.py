"""Weights and pictures by name, from which the golden numbers of the CLIP methods were computed (FORMAT-A, A.0).

Names are those of OpenAI's released state dicts. Everything is computed in float64 and rounded once to float32.
"""

import zlib

import numpy as np


def normal(name, shape):
    """Standard normal numbers that belong to a name, float64."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(tuple(shape))


def value(name, shape):
    """The parameter (or buffer of a batch norm) `name` of OpenAI's layout; the first rule that fits."""
    last, z = name.rsplit(".", 1)[-1], normal(name, shape)
    if last == "logit_scale":
        out = np.full(shape, np.log(10.0))
    elif last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    elif last == "running_mean":
        out = 0.1 * z
    elif last == "running_var":
        out = 1 + 0.2 * np.abs(z)
    elif name == "token_embedding.weight" or last == "positional_embedding":
        out = 0.1 * z
    elif last == "class_embedding":
        out = 0.3 * z
    elif last in ("proj", "text_projection"):
        out = z / np.sqrt(shape[0])
    elif len(shape) >= 2:
        out = z / np.sqrt(np.prod(shape[1:]))
    elif last == "weight":  # norms
        out = 1 + 0.1 * z
    else:  # biases
        out = 0.05 * z
    return np.asarray(out, np.float64).astype(np.float32)


def images(tag, count, side):
    """(count, 3, side, side) float32: smooth and different pictures, already normalised."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    out = np.empty((count, 3, side, side))
    for i in range(count):
        factors = normal(f"{tag}/{i}", (3, 4))
        for channel in range(3):
            a, b, p, q = factors[channel]
            waves = np.sin((0.3 + 0.2 * a) * x + p) + np.cos((0.3 + 0.2 * b) * y + q)
            out[i, channel] = waves + 0.5 * np.sin(0.05 * x * y + a)
    return out.astype(np.float32)
