"""Who paints which set of labelled pictures, and how it is packed."""

from cones.miniature.classification import blood, layouts, medical, scenes, surfaces, things

PAINTERS = {**things.PAINTERS, **surfaces.PAINTERS, **blood.PAINTERS, **medical.PAINTERS}
DRAWINGS = {
    **{name: (paint, layouts.layout) for name, paint in PAINTERS.items()},
    **{name: (paint, scenes.layout) for name, paint in scenes.PAINTERS.items()},
}
