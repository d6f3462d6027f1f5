"""The figures of the paper's tables, for comparison. Nothing is computed from them."""

from __future__ import annotations

from collections.abc import Mapping

DATASETS = ("lfw", "celeba", "ffhq")
OURS = "paper"  # the method of the paper; the others are the methods that it compares

# table -> figure -> method -> one value for each data set in the order of DATASETS; None = not in the paper.
# Tables that compare no methods have only the method "paper". Figures of Tables IX to XII include the variant.
FIGURES: Mapping[str, Mapping[str, Mapping[str, tuple[float | None, ...]]]] = {
    "II": {
        "anonymity": {"ciagan": (0.674, 0.0628), "vfgm": (0.524, 0.561), "ivfg": (0.988, 0.889), OURS: (0.962, 0.922)},
        "diversity": {"ciagan": (0.0, 0.0), "vfgm": (0.550, 0.532), "ivfg": (0.750, 0.787), OURS: (0.783, 0.728)},
    },
    "III": {
        "auc": {"vfgm": (0.889, 0.920), "ivfg": (0.929, 0.933), OURS: (0.973, 0.992)},
        "eer": {"vfgm": (0.182, 0.139), "ivfg": (0.103, 0.122), OURS: (0.092, 0.089)},
        "detection": {"ciagan": (0.986, 0.998), "vfgm": (1.0, 1.0), "ivfg": (1.0, 1.0), OURS: (1.0, 1.0)},
    },
    "IV": {  # degrees; emotion is a cosine
        "yaw": {"ciagan": (3.913, 3.152), "vfgm": (3.557, 3.623), "ivfg": (25.663, 28.537), OURS: (2.018, 1.992)},
        "pitch": {"ciagan": (4.387, 4.424), "vfgm": (2.519, 2.333), "ivfg": (19.334, 18.261), OURS: (3.102, 2.119)},
        "roll": {"ciagan": (3.037, 3.291), "vfgm": (4.011, 3.997), "ivfg": (17.991, 17.309), OURS: (1.998, 2.006)},
        "emotion": {"ciagan": (0.584, 0.622), "vfgm": (0.726, 0.689), "ivfg": (0.433, 0.412), OURS: (0.805, 0.833)},
    },
    "V": {"fid": {"ciagan": (7.64, 6.90), "vfgm": (6.99, 6.91), "ivfg": (6.19, 6.78), OURS: (7.29, 6.82)}},
    "VI": {"crr": {OURS: (0.927, 0.956)}, "far": {OURS: (0.078, 0.064)}, "auc": {OURS: (0.984, 0.989)}},
    "VII": {
        "scenario 1": {OURS: (0.498, 0.516)},
        "scenario 2": {OURS: (0.326, 0.441)},
        "scenario 3": {OURS: (0.522, 0.398)},
        "scenario 4": {OURS: (0.852, 0.799)},
    },
    "VIII": {
        "eer": {OURS: (0.092, None, 0.089)},
        "anonymity": {OURS: (0.962, None, 0.931)},
        "diversity": {OURS: (0.783, None, 0.707)},
        "fid": {OURS: (7.29, None, 6.36)},
        "crr": {OURS: (0.927, None, 0.887)},
        "far": {OURS: (0.078, None, 0.081)},
    },
    "IX": {  # each loss of HPVFG left out
        "auc": {"w/o ano": (0.914,), "w/o syn": (0.897,), "w/o div": (0.942,), "w/o dif": (0.917,), OURS: (0.973,)},
        "eer": {"w/o ano": (0.091,), "w/o syn": (0.104,), "w/o div": (0.091,), "w/o dif": (0.095,), OURS: (0.092,)},
        "detection": {"w/o ano": (1.0,), "w/o syn": (1.0,), "w/o div": (1.0,), "w/o dif": (1.0,), OURS: (1.0,)},
        "anonymity": {
            "w/o ano": (0.908,),
            "w/o syn": (0.974,),
            "w/o div": (0.962,),
            "w/o dif": (0.953,),
            OURS: (0.962,),
        },
        "diversity": {"w/o ano": (0.779,), "w/o syn": (0.787,), "w/o div": (0.0,), "w/o dif": (0.790,), OURS: (0.783,)},
        "fid": {"w/o ano": (6.86,), "w/o syn": (7.73,), "w/o div": (7.91,), "w/o dif": (8.04,), OURS: (7.29,)},
    },
    "X": {  # each loss of KVFA left out
        "crr": {"w/o tot1": (0.756,), "w/o tot2": (0.636,), OURS: (0.945,)},
        "far": {"w/o tot1": (0.298,), "w/o tot2": (0.270,), OURS: (0.068,)},
        "auc": {"w/o tot1": (0.833,), "w/o tot2": (0.744,), OURS: (0.987,)},
    },
    "XI": {
        "anonymity, 8 bits": {OURS: (0.962,)},
        "anonymity, 128 bits": {OURS: (0.956,)},
        "anonymity, 256 bits": {OURS: (0.964,)},
        "fid, 8 bits": {OURS: (7.29,)},
        "fid, 128 bits": {OURS: (6.95,)},
        "fid, 256 bits": {OURS: (7.02,)},
    },
    "XII": {  # similarity by number of wrong bits
        "8 bits, 0 wrong": {OURS: (0.811,)},
        "8 bits, 1 wrong": {OURS: (0.708,)},
        "8 bits, 3 wrong": {OURS: (0.622,)},
        "8 bits, 5 wrong": {OURS: (0.492,)},
        "128 bits, 0 wrong": {OURS: (0.803,)},
        "128 bits, 1 wrong": {OURS: (0.691,)},
        "128 bits, 3 wrong": {OURS: (0.640,)},
        "128 bits, 5 wrong": {OURS: (0.523,)},
        "128 bits, 16 wrong": {OURS: (0.522,)},
        "256 bits, 0 wrong": {OURS: (0.862,)},
        "256 bits, 1 wrong": {OURS: (0.702,)},
        "256 bits, 3 wrong": {OURS: (0.603,)},
        "256 bits, 5 wrong": {OURS: (0.595,)},
        "256 bits, 16 wrong": {OURS: (0.485,)},
    },
}


def paper_figure(table: str, figure: str, dataset: str = "lfw", method: str = OURS) -> float | None:
    """The paper's value of a figure; None if the paper has none.

    Args:
        table: Roman number.
        figure: as in FIGURES.
        dataset: one of DATASETS; any other gives None.
        method: as in FIGURES.
    """
    values = FIGURES.get(table, {}).get(figure, {}).get(method, ())
    if dataset not in DATASETS:
        return None
    position = DATASETS.index(dataset)
    return values[position] if position < len(values) else None
