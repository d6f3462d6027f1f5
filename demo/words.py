"""Every sentence a visitor reads. Functions put numbers into sentences; nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kfaar_core.records import Verdict, VirtualFace

if TYPE_CHECKING:
    from demo.core import Facts

# ---- the page

TITLE = "KFAAR"
LEAD = (
    "A photo and a key go in; the face of a person who does not exist comes out, with the same pose and expression. "
    "Whoever holds the key can prove whose face it was. How well everybody else is kept out is measured here."
)
SOURCE = "Reference implementation of “A Key-Driven Framework for Identity-Preserving Face Anonymization” (NDSS 2025)."
ANONYMISE, COMPARE, AUTHENTICATE, CURVES, ABOUT = (
    "Anonymise",
    "Compare keys",
    "Authenticate",
    "ROC and thresholds",
    "About",
)
ERROR_TITLE = "That did not work"
STOPPED_TITLE = "Stopped"
STOPPED = "Stopped as you asked. Nothing of it was kept."
STOP = "Stop"
NOT_YET = "—"
STAGES: Mapping[str, str] = {
    "detect": "finding the face",
    "encode": "reading the identity (E)",
    "project": "moving it with the key (P)",
    "generate": "drawing the virtual face (G)",
    "correct": "correcting pose and expression (G_f)",
    "judge": "asking the judge (FR)",
}


def stage(name: str) -> str:
    """A pipeline stage for a visitor."""
    return STAGES.get(name, name)


def projector(name: str) -> str:
    """A form of P for a visitor."""
    return PROJECTORS.get(name, name)


def one_in(chance: float) -> str:
    """How many random keys it takes for one to pass."""
    return f"{1 / chance:,.0f}" if chance > 1e-15 else "more than 1,000,000,000,000,000"


# ---- pictures and keys, in every tab

PHOTO = "Photo with a face"
PHOTO_HELP = "Drop, paste or take a picture. It stays on this server for some minutes at most and is shown to nobody."
EXAMPLE = "Synthetic example"
EXAMPLES = "Synthetic examples (these people do not exist)"
NO_EXAMPLES = "No example pictures are installed. Use a picture of your own."
FACE = "Which face"
FACE_LARGEST = "the largest"
MODE = "Answer with"
REFINE = "Refine the face"
REFINE_HELP = "Some seconds more a face, for the form hashed only. KVFA reads it better, and keys differ more."
PORTRAIT, PASTE = "a portrait", "the whole photo, face exchanged"
KEY_GROUP = "#### Your key"
HOW = "The key is"
HEX, PASSPHRASE = "hex digits", "a passphrase"
BITS = "Length in bits"
KEY = "Key"
KEY_HELP = "Made in your browser by crypto.getRandomValues. It decides which virtual person appears."
MAKE_KEY = "Make a new key"
LOAD_KEY = "Read a key file"
SAVE_KEY = "Save the key"
PASS = "Passphrase"
PASS_HELP = "Stretched by Argon2id, so that each guess costs an adversary time."
PROJECTOR = "How the key moves the identity (P)"
PROJECTOR_HELP = "A virtual face can only be read by the form that made it."
PROJECTORS: Mapping[str, str] = {
    "floor": "linear (floor)",
    "hashed": "trained, hashed key (hashed)",
    "bits": "trained, key bits (bits)",
}
EIGHT_BITS = "A key of 8 bits has 256 values: good for watching attacks succeed, useless for protection."

UNDETECTED = "The face detector finds no face in this virtual face. Make a new key and try again."

NO_PHOTO = ("there is no photo yet", "choose an example or give a picture of your own")
NO_VIRTUAL = ("there is no virtual face to look at", "make one in the tab Anonymise, or give the picture here")
NO_ORIGINAL = (
    "there is no original photo to compare with",
    "give a photo of the person; authentication never restores one from the virtual face",
)
NO_KEY = ("there is no key", "press “Make a new key”, or type one")

# ---- anonymise

ANONYMISE_LEAD = "Give a photo, keep the key, take the virtual face."
ANONYMISE_RUN = "Anonymise"
RESULT_EMPTY = "The virtual face will appear here, with what an independent face recogniser makes of it."
SLIDER = "Before and after: drag the handle"
FOUND, DRAFT, CORRECTED, FINAL = "Found face", "Before correction", "After correction", "Final"
ALT: Mapping[str, str] = {
    FOUND: "Your photo with a frame around the face that was found",
    DRAFT: "The virtual face as the generator drew it, before posture correction",
    CORRECTED: "The virtual face after posture correction",
    FINAL: "The final picture",
}
SAVE_PICTURE = "Save the picture"
POSTURE = "Pose and expression (Fig. 7, Table IV)"
POSTURE_HEADERS = ["", "photo", "before correction", "after correction", "difference"]
DEGREES = ("yaw, degrees", "pitch, degrees", "roll, degrees")
EXPRESSION = "expression, cosine with the photo"
TIMES = "Time by stage"


def faces_found(count: int) -> str:
    """What the detector sees in a new photo."""
    if count == 0:
        return "No face found. Use a photo that shows a face from the front, sharp and well lit."
    return (
        "One face found." if count == 1 else f"{count} faces found. Choose one below; the largest is taken otherwise."
    )


def decision(face: VirtualFace) -> tuple[str, str]:
    """Headline and sentence about one virtual face."""
    if face.anonymous:
        head = "Another person"
        body = (
            f"An independent recogniser gives photo and virtual face a similarity of {face.judge_cosine:z.2f}. That is "
            f"below {face.judge_threshold:z.2f}, where it begins to see one person. Its answer: different people."
        )
    else:
        head = "Too close"
        body = (
            f"An independent recogniser gives photo and virtual face a similarity of {face.judge_cosine:z.2f}, at or "
            f"above {face.judge_threshold:z.2f}: it takes them for one person. Make a new key and try again."
        )
    if face.reading is None:
        return head, body
    found, enough = face.reading, "enough" if face.reading.same_person else "too little"
    return head, (
        f"{body} With the key, KVFA reads the original identity with a similarity of {found.cosine:z.2f}: {enough}, "
        f"for it accepts from {found.threshold:z.2f}."
    )


def sentences(notes: Sequence[str]) -> list[str]:
    """Notes of the core as sentences."""
    return [f"{note[:1].upper()}{note[1:]}{'' if note.endswith('.') else '.'}" for note in notes]


def seconds(times: Mapping[str, float]) -> list[list[str]]:
    """Rows of the time table, and their sum."""
    rows = [[stage(name), f"{value:.2f} s"] for name, value in times.items()]
    return [*rows, ["in all", f"{sum(times.values()):.2f} s"]]


# ---- compare

COMPARE_LEAD = (
    "The same photo under several keys gives several people (**diversity**). Several people under one key stay several "
    "people (**differentiation**). Two photos of one person under one key give one virtual person (**synchronism**)."
)
COMPARE_PHOTOS = "Up to four photos; give two of one person to see synchronism"
COMPARE_COUNT = "Number of keys"
COMPARE_KEYS = "Keys, one a line"
COMPARE_MAKE = "Make these keys"
COMPARE_RUN = "Compare"
COMPARE_EMPTY = "The grid will appear here. Each picture takes a few seconds."
HEATMAP = "Judge similarity of every pair of pictures"
COMPARE_TABLE = "The same numbers as a table"
MAX_PHOTOS, MAX_KEYS = 4, 8
NO_KEYS = ("there are no keys", "press “Make these keys”, or write one a line")
TOO_MANY_PHOTOS = ("more than four photos", "take some away")
TOO_MANY_KEYS = ("more than eight keys", "take some away")
ORIGINAL = "photo"


def photo_name(number: int) -> str:
    return f"Photo {'ABCD'[number]}"


def key_name(number: int) -> str:
    return f"key {number + 1}"


def virtual_alt(photo: int, key: int) -> str:
    return f"Virtual face of photo {'ABCD'[photo]} under key {key + 1}"


def judged(cosine: float, anonymous: bool) -> str:
    """The line below a virtual face: what the judge says of it and its photo."""
    return f"{cosine:z.2f} {'other person' if anonymous else 'too close'}"


def pair_name(photo: int, key: int) -> str:
    return f"{'ABCD'[photo]}, key {key + 1}"


def original_name(photo: int) -> str:
    return f"{'ABCD'[photo]}, photo"


def share(hits: int, of: int) -> str:
    return f"all {of}" if hits == of else f"none of {of}" if hits == 0 else f"{hits} of {of}"


def compared(
    anonymous: tuple[int, int],
    diversity: tuple[int, int],
    differentiation: tuple[int, int],
    synchronism: tuple[int, int],
    threshold: float,
) -> str:
    """What the grid shows, in words. Each pair is (hits, of); of = 0 leaves the line out."""
    lines = [f"The judge calls two pictures one person at a similarity of {threshold:z.2f} or more."]
    told = (
        ("**Anonymity.** The judge takes {} virtual faces for somebody else than the photo.", anonymous),
        ("**Diversity.** Same photo, different keys: {} pairs are different people.", diversity),
        ("**Differentiation.** Different people, same key: {} pairs stay different.", differentiation),
        ("**Synchronism.** Two photos of one person, same key: {} pairs are one person.", synchronism),
    )
    lines += [f"- {line.format(share(*counts))}" for line, counts in told if counts[1]]
    if not synchronism[1]:
        lines.append("- **Synchronism** needs two photos of one person; the judge sees none among these.")
    return "\n".join(lines)


# ---- authenticate

AUTHENTICATE_LEAD = "Who learns whose face it was? Follow the six steps, then look through the adversary's eyes."
ROLES: Mapping[str, str] = {
    "U": "user, owns photo and key",
    "FAS": "anonymisation server",
    "FR": "any face recogniser",
    "VFAS": "authentication server",
    "AD": "adversary, sees the cloud",
}
CLOUD_NAME, CLOUD = "Cloud", "virtual faces, open to all"
STEPS = (
    "The user sends photo and key to the anonymisation server.",
    "It draws the virtual face, forgets photo and key, and puts the face into the cloud.",
    "Everybody can take the virtual face from the cloud, the adversary too.",
    "The adversary asks a face recogniser and meets a stranger.",
    "The user takes the virtual face from the cloud to authenticate with it.",
    "The user sends it with the key to the authentication server, which finds the original identity.",
)
VIRTUAL, ORIGINAL_PHOTO = "Virtual face", "Photo of the person"
TAKE = "Use what I made in Anonymise"
AUTH_RUN = "Authenticate with this key"
SCENARIOS_RUN = "Run the scenarios"
SCENARIOS = "Cosine with the original face (Table VII)"
SCENARIO_TABLE = "The same as a table"
SCENARIO_HEADERS = ["scenario", "the adversary has", "picture used", "cosine", "threshold", "decision"]
SCENARIO: Mapping[str, tuple[str, str, str]] = {  # number -> (title, what the adversary has, picture used)
    "1": ("Right key, no KVFA", "the key; no authentication server", "the virtual face, anonymised again, by FR"),
    "2": ("KVFA, no key", "the authentication server; no key", "the virtual face"),
    "3": ("KVFA, wrong key", "the server; a random key", "the virtual face"),
    "4": ("KVFA, right key", "the server and the key", "the virtual face"),
}
ACCEPTED, REFUSED = "accepted", "refused"
SCENARIOS_EMPTY = "Four ways to ask whose face it is, on your own two pictures. They take a few seconds."
FLIP_HEADERS = ["wrong bits", "mean cosine", "lowest", "highest", "the paper, LFW"]
BRUTE_HEADERS = ["cosine", "keys"]
THRESHOLD = "Threshold of KVFA"
THRESHOLD_HELP = "Move it: the decisions of scenarios 2 to 4 follow at once. Scenario 1 keeps the recogniser's own."
ATTACKS = "### Attacks on the key"
ATTACKS_LEAD = "They use the two pictures and the key above."
FLIP = "Flip bits"
FLIP_COUNT = "Bits of the key to flip"
FLIP_RUN = "Flip them"
FLIP_CURVE = "Cosine against the number of wrong bits (Table XII)"
BRUTE = "Random keys"
BRUTE_RUN = "Try 1,000 random keys"
BRUTE_PLOT = "Cosines of random keys"
DICTIONARY = "Dictionary"
KNOWN = "What the adversary knows about you: names, places, years"
KNOWN_HELP = "Tried alone and joined, after some sixty common passphrases. Write nothing real."
DICTIONARY_RUN = "Try a dictionary"
DICTIONARY_HEX = "A random key stands in no dictionary. Choose “a passphrase” above to see this attack work."
TABLE_TWIN = "The numbers of this figure"
CSV = "Save as CSV"


def scenario_line(number: str) -> str:
    return f"{number}  {SCENARIO[number][0]}"


def verdict(answer: Verdict) -> tuple[str, str]:
    """Headline and sentence of one authentication."""
    head = "Same person" if answer.same_person else "Not shown to be the same person"
    how = "with this key" if answer.key_used else "without a key"
    side = "at or above" if answer.same_person else "below"
    body = (
        f"Read {how}, the virtual face has a cosine of {answer.cosine:z.2f} with the photo, {side} the threshold "
        f"{answer.threshold:z.2f}."
    )
    return head, body


SWAPPED = "The two pictures look swapped: the other way round the key fits. Exchange them."
WRONG_KEY = "Either the key is not the one that made this face, or the photo shows somebody else."
FITS = "So the key is right and the photo shows the person behind the virtual face."


def scenarios(accepted: Sequence[str]) -> str:
    """One sentence about who gets through."""
    if list(accepted) == ["4"]:
        return "Only the right key at the authentication server gets through. Everybody else meets a stranger."
    if not accepted:
        return (
            "Nobody gets through, not even the right key: the threshold is too high, or the key is not the right one."
        )
    names = ", ".join(accepted)
    wrong = [number for number in accepted if number != "4"]
    return f"Accepted: scenario {names}." + (
        " An adversary gets through at this threshold." if wrong else " No adversary gets through."
    )


def flipped(count: int, cosine: float, threshold: float) -> str:
    bits = "no bit" if count == 0 else "1 bit" if count == 1 else f"{count} bits"
    verdict_ = "still accepted" if cosine >= threshold else "refused"
    return f"With {bits} flipped the cosine is **{cosine:z.2f}**: {verdict_} at the threshold {threshold:z.2f}."


def brute(cosines: np.ndarray, threshold: float, chance: float, dimension: int, bits: int) -> str:
    hits = int(np.count_nonzero(cosines >= threshold))
    found = "None of them passes" if hits == 0 else f"{hits} of them pass{'es' if hits == 1 else ''}"
    text = (
        f"{len(cosines):,} random keys were tried; the best reaches {float(np.max(cosines)):z.2f}. {found} the "
        f"threshold {threshold:z.2f}. By the law of random directions in {dimension} dimensions one key in "
        f"{one_in(chance)} would."
    )
    return text + (f" {EIGHT_BITS}" if bits == 8 else "")


def dictionary(tried: int, hit: int | None) -> str:
    if hit is None:
        return f"{tried} guesses were tried and none opens this face. Longer lists exist; so do longer passphrases."
    return f"Found at guess {hit} of {tried}. Whoever tries common words would read this identity: choose another one."


def trying(done: int, of: int) -> str:
    return f"{done} of {of} tried"


# ---- curves

CURVES_LEAD = (
    "How often is a person recognised, and how often a stranger taken for them? From scores that were measured once "
    "and committed; every figure has its numbers below it."
)
NO_SCORES = (
    "### No scores yet\n"
    "There is no score file in `assets/scores`. Make one with photos of your own (a folder with a subfolder for each "
    "person):\n\n"
    "```\npython -m kfaar_core evaluate --table VI --data FOLDER -o assets/scores\n```\n"
    "and start the app again."
)
DATASET, KEYS, FORM, COMPARED = "Data set", "Keys", "Preset and projector", "Compared with"
OFFERED = "The menus offer what was measured, and nothing else: a choice that is missing has no score file yet."
SAME_PHOTO, OTHER_PHOTO = "the same photo", "another photo of the person"
SHARED_KEY, OWN_KEY = "one key for everybody", "a key a person"
SHARED_KEYS = "one key for everybody, eight in turn"
MOVABLE = "Threshold"
ROC, DET, HISTOGRAMS, RATES = "ROC", "DET", "Histograms", "Rates by threshold"
FIGURES_TABLE = "Figures"
CONFUSION = "What this threshold does"
CONFUSION_HEADERS = ["", "accepted", "refused"]
GENUINE_ROW, IMPOSTOR_ROW = "genuine trials", "impostor trials"
FIGURE_HEADERS = ["figure", "value", "95 % interval"]
POINT_HEADERS = ["threshold", "FAR", "TAR", "FRR"]
RATE_HEADERS = ["threshold", "CRR", "FAR", "FRR"]
HISTOGRAM_HEADERS = ["population", "n", "mean", "sd", "5 %", "median", "95 %"]
BEST_CRR = "best CRR"


OWN = "### Your own photos"
OWN_LEAD = (
    "A folder with a subfolder for each person, two photos or more in each (person/photo.jpg), or a zip of it. The "
    "keys are random; each person takes some seconds. Nothing of it is kept."
)
ARCHIVE, FOLDER = "Zip of photos", "Choose a folder (your browser packs it)"
OWN_RUN, OWN_PEOPLE = "Measure on my photos", "People, at most"
OWN_KEYS_HELP = "Eight keys in turn take eight times as long."
NO_ARCHIVE = ("there are no photos yet", "choose a folder, or give a zip, of person/photo.jpg")


def form(name: str) -> str:
    """Preset, projector and key length, as "lab-bits-8", for a visitor."""
    parts = name.split("-")
    return ", ".join([*parts[:2], *(f"{length}-bit keys" for length in parts[2:])])


def looked(done: int, of: int) -> str:
    return f"{done} of {of} pictures looked at"


def own_done(people: int, failed: int) -> str:
    lost = f" {failed} pictures had no usable face." if failed else ""
    return (
        f"Measured on {people} people; the menu “{DATASET}” now shows **yours**.{lost} So few people say little: mind "
        "the intervals."
    )


def tar_at(far: float) -> str:
    return f"TAR at FAR {far:.1%}".replace(".0%", "%").replace("%", " %")


def at_threshold(threshold: float) -> str:
    return f"at threshold {threshold:z.2f}"


NO_IMPOSTORS = "This file has no impostors, so there is no ROC; it has the scenario histograms."


def provenance(
    dataset: str,
    people: int,
    trials: int,
    preset: str,
    data_sha256: str,
    preset_sha256: str,
    weights: Mapping[str, str],
) -> str:
    held = ", ".join(f"{name} `{digest[:12]}`" for name, digest in weights.items())
    return (
        f"{dataset}, {people} people, {trials} trials, preset {preset}. "
        f"Data `{data_sha256[:12]}`, preset `{preset_sha256[:12]}`" + (f", weights {held}" if held else "") + "."
    )


# ---- about

METHOD = "The method in one picture"
METHOD_UP = "Anonymise (Algorithm 1)"
METHOD_DOWN = "Authenticate (Alg. 2)"
METHOD_ALT = (
    "A photo x goes through the encoder E and the projector P, which takes the key k, to the generator G and the "
    "posture correction G_f: the virtual face x_v. To authenticate, F and an MLP with the key k read x_v; the cosine "
    "with I(x), the feature of a photo, decides."
)
RUNS = "### What runs here"
WEIGHTS_TITLE = "### Networks and their licences"
WEIGHT_HEADERS = ["network", "licence of the weights", "trained on", "source"]
PAPER_TITLE = "### From the paper to the code"
PAPER_HEADERS = ["in the paper", "what it is", "in the code"]
DEVIATIONS_TITLE = "Where this differs from the paper, and why"
DEVIATION_HEADERS = ["in the paper", "what it does", "what is done here", "why"]
LIMITS = """### Limits

- The generator draws frontal, well-lit faces best. Glasses, hands and profiles may vanish or change.
- The protection is against recognising the **face**. Clothes, place and the rest of a photo can still name a person.
- Everything secret is in the key. Whoever has key and virtual face can test whose face it is; a lost key cannot be
  recovered, and a key of 8 bits protects nothing.
- The strength of the shown projector is bounded by the number of dimensions that it compares, not by the key's length.
- Numbers here are measured on public photo sets that do not stand for everybody: expect errors to differ by age, skin
  tone and gender.
"""
ETHICS = """### Consent and ethics

Use photos of people who agreed to it, or the synthetic examples. Do not use a virtual face to pretend to be somebody,
and do not present it as a photo of a real person. The app keeps nothing: pictures that the browser sends are deleted
within minutes, keys are never stored, and no usage data is collected.
"""


def facts(what: Facts, projectors: Sequence[str], chance: float) -> str:
    """What runs; `projectors` can be chosen, the first is the default that the numbers are of."""
    others = f" (to choose from: {', '.join(projectors)})" if len(projectors) > 1 else ""
    return (
        f"- Preset **{what.preset}** on **{what.device}**, projector **{what.projector}**{others}, {what.dimension} "
        f"compared dimensions\n"
        f"- KVFA accepts at a cosine of **{what.threshold:z.2f}** or more; a random key passes once in "
        f"**{one_in(chance)}** tries\n"
        f"- The judge, a recogniser that no training saw, calls two faces one person at "
        f"**{what.judge_threshold:z.2f}** or more"
    )
