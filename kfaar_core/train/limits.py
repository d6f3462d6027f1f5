"""What each weight of ours is not good for; `train` writes it into the model card."""

from __future__ import annotations

from collections.abc import Mapping

FORMS = (
    "Read the targets that its form misses (`missed` in this card) before relying on it. It was trained on faces of "
    "LFW and of the generator: children, dark skin and covered faces are rare in them and served worse. Whoever has "
    "the key can use the public weights as its owner can."
)
LIMITS: Mapping[str, str] = {
    "floor": f"Linear, in 32 dimensions: the form to be beaten, not one to protect anybody with. {FORMS}",
    "geometry": "Distilled from one teacher on LFW photos and generated faces; angles beyond 45 degrees, covered faces "
    "and open mouths are told less well. Not a medical or biometric measurement.",
    "identity": "Linear: for E and the second recogniser as committed alone. It was fitted on photos of LFW, where "
    "children and dark skin are rare; two photos of such people may agree less well, and strangers more. Women are "
    "rare there too; they count for more in the fit, and strangers on the rarer side still have a cosine above 0 "
    "(`rarer_side_strangers_cosine_mean`).",
    "judge": "A small network, distilled for the tables: that it does not recognise a virtual face does not mean that "
    "a stronger recogniser would not. Nothing may be trained against it.",
    "kvfa": f"For virtual faces by the committed P alone; of any other face its answer means nothing. {FORMS}",
    "posture": "Linear in w: far from the mean face a move turns a head further or less far than asked, and strong "
    "expressions are met in part.",
    "second": "Linear: for the second recogniser as committed alone. Nobody is identified by it: it says of a virtual "
    "face which person that network sees.",
    "projector": "For the committed E, M and G alone. How many faces of `hashed` are men's or women's depends on the "
    "key. Who looks long at a face of the generator finds its faults: backgrounds, hands, one earring. "
    f"{FORMS}",
}


def limits_of(weight: str) -> str:
    """The limits of a weight by the first word of its name; empty for one that is none of ours."""
    return LIMITS.get(weight.partition("_")[0], "")
