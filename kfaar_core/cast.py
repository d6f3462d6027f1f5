"""Which networks a preset is made of, by the names in its fields, and which weights these need."""

from __future__ import annotations

from kfaar_core import checkpoints, weights
from kfaar_core.errors import BadWeights
from kfaar_core.presets import Preset

DETECTOR = ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet")
LIVE_PORTRAIT = ("appearance_feature_extractor", "motion_extractor", "warping_module", "spade_generator")
# A name in a field of a preset -> the registered weights of that network. `tiny` needs none.
NETWORKS: dict[str, tuple[str, ...]] = {
    "sface": ("sface", "dlib_resnet"),
    "facenet_vggface2": ("facenet",),
    "judge": ("judge",),
    "arcface": ("arcface_r50",),
    "arcface_r101": ("arcface_r101",),
    "sphereface": ("sphereface",),
    "mobile_stylegan": ("mobile_stylegan",),
    "stylegan2": ("stylegan2_1024",),
    "stylegan2_256": ("stylegan2_256",),
    "latent": ("posture",),
    "facevid2vid": ("facevid2vid",),
    "liveportrait": tuple(f"liveportrait_{part}" for part in LIVE_PORTRAIT),
    "tiny": (),
}
PUBLISHED = frozenset(weight.name for weight in checkpoints.CHECKPOINTS)


def needed(preset: Preset) -> tuple[str, ...]:
    """The names of the weights of a preset's shared networks; those of its method come besides."""
    if preset.name == "tiny":
        return ()
    chosen = (preset.encoder, preset.judge, preset.generator, preset.corrector)
    return (*DETECTOR, "geometry", *(name for network in chosen for name in NETWORKS[network]))


def check_present(preset: Preset) -> None:
    """Refuse a preset whose published checkpoints are not here, before anything is loaded.

    Raises:
        BadWeights: one sentence with their number and size, and what works without them.
    """
    absent = weights.absent(name for name in needed(preset) if name in PUBLISHED)
    if absent:
        names = ", ".join(weight.name for weight in absent)
        raise BadWeights(
            got=f"the preset {preset.name} needs {len(absent)} files that are not here ({names}; "
            f"{weights.told_size(absent)} together), and a GPU to be quick",
            mend=f"run python -m kfaar_core weights --preset {preset.name} --fetch where there is network; the preset "
            "lab needs neither and works now",
        )
