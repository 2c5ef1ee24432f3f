"""Who paints which set of labelled pictures, and how it is packed."""

from cones.miniature.classification import blood, layouts, medical, surfaces, things

PAINTERS = {**things.PAINTERS, **surfaces.PAINTERS, **blood.PAINTERS, **medical.PAINTERS}
DRAWINGS = {name: (paint, layouts.layout) for name, paint in PAINTERS.items()}
