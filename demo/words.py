"""Every sentence a visitor reads. Functions put numbers into sentences; nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kfaar_core.records import GroupPhoto, Verdict, VirtualFace
from kfaar_core.tries import BANDS, band_of

if TYPE_CHECKING:
    from demo.core import Facts, Method
    from demo.examples import ExampleAnswer, Read

# ---- the page

TITLE = "KFAAR"
LEAD = (
    "Post safely, prove later that it was you: a photo and a key give the face of a person who does not exist, in the "
    "same pose, with the same expression. Whoever holds the key can show whose face it was."
)
LINK_PAPER = ("The paper (NDSS 2025)", "https://arxiv.org/abs/2409.03434")
LINK_CODE, LINK_README = "code", "README"
LINK_SPACE = "https://huggingface.co/spaces"  # where the code lies when the app runs as a Space
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
    "locate": "finding the face",
    "encode": "reading the identity (E)",
    "project": "moving it by the key (P)",
    "generate": "drawing the virtual face (G)",
    "correct": "matching pose and expression (G_f)",
    "refine": "refining",
    "place": "fitting the face into the photo",
    "judge": "asking an independent recogniser (FR)",
}
QUEUE_PLACE = "waiting: {n} before you,"  # in the queue; seconds follow
# What stands over results when the input beside them is no longer theirs.
STALE = "These results are of an earlier photo, key or setting."


def stage(name: str, done: int = 0, of: int = 0) -> str:
    """A pipeline stage for a visitor; one that counts its steps says which."""
    said = STAGES.get(name, name)
    return f"{said}, step {done} of {of}" if name == "refine" and of > 1 else said


def method_help(methods: Sequence[Method]) -> str:
    """What the methods are, in a line below their menu."""
    return " ".join([METHOD_HELP, *(f"{method.label}: {method.help}" for method in methods if method.help)])


def one_in(chance: float) -> str:
    """How many random keys it takes for one to pass."""
    return f"{1 / chance:,.0f}" if chance > 1e-15 else "more than 1,000,000,000,000,000"


def compared_with(value: float, limit: float) -> tuple[str, str]:
    """Two cosines with as few digits as show which is larger: two, or more where two would make them equal."""
    for digits in range(2, 7):
        pair = f"{value:z.{digits}f}", f"{limit:z.{digits}f}"
        if pair[0] != pair[1]:
            break
    return pair


# ---- pictures and keys, in every tab

PHOTO = "Photo with a face"
PHOTO_HELP = "Your photo stays on this server for some minutes at most and is shown to nobody."
EXAMPLE = "Synthetic example"
EXAMPLES = "Examples: these people do not exist"
NO_EXAMPLES = "No example pictures are installed. Use a picture of your own."
FACES = "Faces to replace"
FACES_HELP = "The others stay as they are. A face that cannot be replaced is pixelated."
FACE_TAP = "Tap a face to leave it alone, or to take it in again"
EVERYBODY = "Everybody"
NO_FACE_CHOSEN = ("no face is chosen", "tick at least one")
ADVANCED = "Advanced: passphrase, method, refinement, whole photo, later photos"
ADVANCED_COMPARE = "Advanced: method, refinement"
ADVANCED_READ = "Advanced: passphrase, method, one of many photos"
MODE = "Answer with"
REFINE = "Refine the face"
REFINE_HELP = (
    "On: slower, and the key reads the face reliably. Off: quick, but the right key is often refused later, and faces "
    "of different keys resemble each other more. Only the default method can refine."
)
REMEMBER = "Show the same new person in later photos"
REMEMBER_HELP = (
    "The key then remembers the person of the first photo, which takes about three times as long; later photos of the "
    "same person are quick, and all of them look like one person. The cost: whoever steals the key file can tell who "
    "this is among people of whom they have photos, even without a picture. Off: each photo is drawn anew."
)
PORTRAIT, PASTE = "a portrait", "the whole photo, face exchanged"
ROUGH = "a portrait, head pose and expression kept only roughly"
MODE_HELP = (
    "Who holds many photos can find the one a face was made from by its exact head pose and expression. Kept roughly, "
    "only this is left: left, ahead or right, and a smile."
)
HOW = "The key is"
HEX, PASSPHRASE = "random digits", "a passphrase"
BITS = "Length of the key in bits"
KEY = "Your key"
KEY_READ = "The key that made the face"
MAKE_KEY = "New key"
LOAD_KEY = "Open file"
SAVE_KEY = "Save its key"
PASS = "Your passphrase"
PASS_HELP = "Each guess is made slow for an adversary (Argon2id). There is no way to recover a forgotten one."
METHOD = "How the key moves the identity (P)"
METHOD_HELP = "A virtual face can only be read by the method that made it."
EIGHT_BITS = "A key of 8 bits has 256 values: good for watching attacks succeed, useless for protection."

NO_PHOTO = ("there is no photo yet", "choose an example or give a picture of your own")
NO_VIRTUAL = ("there is no virtual face to look at", "make one in the tab Anonymise, or give the picture here")
NO_ORIGINAL = (
    "there is no original photo to compare with",
    "give a photo of the person; authentication never restores one from the virtual face",
)
NO_KEY = ("there is no key", "press “New key”, or type one")
NO_KEY_READ = ("there is no key", "open the key file that was saved with the face, or paste the key")

# ---- anonymise

ANONYMISE_RUN = "Anonymise"
RESULT_EMPTY = "Press an example, or give a photo and press “Anonymise”. The new face appears here."
FINISHED_HEAD = "What it does"
FINISHED = (
    "The new face can be posted: recognisers see somebody else. Later the key proves who it was, and nothing else "
    "does. Press an example to see more, or give a photo of your own."
)
FINISHED_PHOTO, FINISHED_KEY, FINISHED_FACE = "a photo (synthetic)", "a secret key", "a virtual face, to post"
RIGHT_KEY, WRONG_KEY_SHORT = "The right key:", "A key with one wrong bit:"
SLIDER = "Before and after: drag the handle"
STEPS_TITLE = "How it was made: every step, pose, seconds"
FOUND, DRAFT, CORRECTED, FINAL = "Found face", "Before correction", "After correction", "Final"
ALT: Mapping[str, str] = {
    FOUND: "Your photo with a frame around the face that was found",
    DRAFT: "The virtual face as the generator drew it, before posture correction",
    CORRECTED: "The virtual face after posture correction",
    FINAL: "The final picture",
}
PREVIEWS: Mapping[str, str] = {  # by the stage that made it
    "generate": "First draft, not final: another person, not yet in your pose",
    "correct": "Pose and expression matched, not final: being refined",
}
SAVE_PICTURE, SAVE_AS = "Save the picture", "Picture as"
PAIR_EXAMPLE = (
    "This answer was made before. Press “Anonymise” to make it anew, or “New key” first for another face. The keys of "
    "the examples are known to everybody."
)
PUBLIC_KEY = "This key belongs to the examples and is known to everybody. Press “New key” before you post."
PAIR = "Keep both: the picture to show, its key to prove later that it was you. The key is stored nowhere else."
PAIR_PASSPHRASE = (
    "The key of this picture is your passphrase, with {bits} bits. There is no key file to save: remember the "
    "passphrase and this length."
)
RETRY = "Try another key"
POSTURE = "Pose and expression (Fig. 7, Table IV)"
POSTURE_HEADERS = ["", "photo", "before correction", "after correction", "difference"]
DEGREES = ("yaw, degrees", "pitch, degrees", "roll, degrees")
EXPRESSION = "expression, cosine with the photo"
TIMES = "Time by stage"
FAULTS: Mapping[str, str] = {  # demo.core.faults; {value} and {limit} are of the recogniser
    "unseen": "No face can be made out in the new picture.",
    "close": (
        "The new face is too close to the photo: an independent recogniser gives them a similarity of {value}, and "
        "calls two pictures one person from {limit}."
    ),
    "alike": "The new face looks too much like the photo.",
    "open": "The identity could be read from the new face without any key.",
    "unread": "The key does not read the original identity from the new face, so authentication would fail.",
}
FAULT_HEADS: Mapping[str, str] = {
    "unseen": "No face came out",
    "close": "Too close to the photo",
    "alike": "Too close to the photo",
    "open": "Not protected by the key",
    "unread": "Another person, but the key does not fit",
}
ANOTHER_KEY = "Press “Try another key”."
ANOTHER_PASSPHRASE = "Take another passphrase."
SEALED = "Remembered person, sealed"
ENROLLED = "This key remembers the person now: later photos show the same new face, as long as this page is open."
ENROLLED_FILE = "The saved key file remembers them as well."
ENROLLED_BEFORE = "This is the new face that the key remembers, in the pose of this photo."
NOT_ENROLLED = "The key remembers nobody: this method draws no person."
SEVERAL_NOT_ENROLLED = "The key remembers nobody: of several people it cannot tell who is meant."
OTHER_PERSON = (
    "this key remembers somebody else than this photo shows",
    f"press “{MAKE_KEY}” for this person, or untick “{REMEMBER}” under Advanced",
)
UNREFINED_FAILS = "Refinement is off; with it on, the key would most likely read the face."


def reads(read: Read) -> str:
    """What the authentication server says under one key."""
    value, limit = compared_with(read.cosine, read.threshold)
    said = "same person" if read.same_person else "not shown to be the same person"
    return f"{said} (similarity {value}, accepted from {limit})."


def example_decision(made: ExampleAnswer) -> tuple[str, str]:
    """Headline and sentence about the committed answer to an example."""
    head = "Another person" if made.faces == 1 else f"{made.faces} other people"
    value, limit = compared_with(made.judge_cosine, made.judge_threshold)
    most = "a similarity of" if made.faces == 1 else "similarities of at most"
    return head, (
        f"An independent face recogniser gives photo and new face {most} {value}; it calls two pictures one person "
        f"from {limit}."
    )


def example_notes(made: ExampleAnswer) -> list[str]:
    """What two keys read of an example's virtual face."""
    return [f"{RIGHT_KEY} {reads(made.right)}", f"{WRONG_KEY_SHORT} {reads(made.wrong)}"]


def photo_of(number: int, count: int) -> str:
    """Which of many photos is worked on."""
    return f"photo {number} of {count}"


def many_done(good: int, of: int) -> tuple[str, str]:
    """Headline and sentence about a folder of photos."""
    head = f"{good} of {of} photos are done" if good else "No photo could be used"
    return head, "In the zip, labels.csv says which label each photo has." if good else ""


def face_of(index: int, count: int) -> str:
    """Which of several faces is drawn, before the name of the stage."""
    return f"Face {index + 1} of {count}: "


def takes(seconds: float, faces: int, enrolling: bool = False) -> str:
    """An estimate before the work begins."""
    if not faces:
        return ""
    which = "A face takes" if faces == 1 else f"{faces} faces take"
    if enrolling:
        which = "The first photo of a person takes"
    return f"{which} about {span(seconds)} here; a first draft comes sooner."


def span(seconds: float) -> str:
    """A time to wait for."""
    return f"{max(1.0, seconds):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def group_decision(group: GroupPhoto) -> tuple[str, str]:
    """Headline and sentence about a photo in which several faces were replaced."""
    done, hidden = len(group.replaced), len(group.pixelated)
    head = f"{done} other {'person' if done == 1 else 'people'}" if done else "Nobody could be replaced"
    lines = []
    if done:
        nearest = max(group.replaced.values(), key=lambda face: face.judge_cosine)
        value, limit = compared_with(nearest.judge_cosine, nearest.judge_threshold)
        lines.append(
            f"An independent face recogniser gives the new faces similarities of at most {value} with those of the "
            f"photo; it calls two pictures one person from {limit}."
        )
    if hidden:
        which = numbered(group.pixelated)
        lines.append(f"{which} could not be replaced with this key and {'is' if hidden == 1 else 'are'} pixelated.")
    return head, " ".join(lines)


def numbered(faces: Sequence[int]) -> str:
    """Faces by the numbers of their frames."""
    names = [str(face + 1) for face in faces]
    return f"Face {names[0]}" if len(names) == 1 else f"Faces {', '.join(names[:-1])} and {names[-1]}"


def group_notes(group: GroupPhoto, alone: Sequence[int]) -> list[str]:
    """What else is to be said of several faces: their reading, those left alone, their common key."""
    readings = [face.reading for face in group.replaced.values() if face.reading]
    notes = []
    if readings:
        hits = sum(reading.same_person for reading in readings)
        notes.append(f"With the key the identities of {share(hits, len(readings))} are read well enough to prove them.")
    if alone:
        notes.append(f"{numbered(alone)} {'was' if len(alone) == 1 else 'were'} left as in the photo, as you chose.")
    if len(group.replaced) > 1:
        notes.append("All of them share this key: whoever has it can prove each of them.")
    return notes


def faces_found(count: int) -> str:
    """What the detector sees in a new photo."""
    if count == 0:
        return "No face found. Use a photo that shows a face from the front, sharp and well lit."
    return "One face found." if count == 1 else f"{count} faces found. All are replaced unless you leave some alone."


def fault(code: str, face: VirtualFace) -> str:
    """What is wrong with a virtual face, as a sentence."""
    value, limit = compared_with(face.judge_cosine, face.judge_threshold)
    return FAULTS[code].format(value=value, limit=limit)


def decision(face: VirtualFace, code: str | None, passphrase: bool) -> tuple[str, str]:
    """Headline and sentence about one virtual face; `code` is the gravest of demo.core.faults."""
    value, limit = compared_with(face.judge_cosine, face.judge_threshold)
    if code is not None:
        return FAULT_HEADS[code], f"{fault(code, face)} {ANOTHER_PASSPHRASE if passphrase else ANOTHER_KEY}"
    return "Another person", (
        f"An independent face recogniser gives photo and new face a similarity of {value}; it calls two pictures one "
        f"person from {limit}. So it sees somebody else."
    )


def remembers(before: bool, now: bool, by_passphrase: bool) -> str:
    """Whether a key remembers the person of a photo.

    Args:
        before: from an earlier photo. now: from this one.
    """
    if before:
        return ENROLLED_BEFORE
    if not now:
        return NOT_ENROLLED
    return ENROLLED if by_passphrase else f"{ENROLLED} {ENROLLED_FILE}"


def read_back(reading: Verdict) -> str:
    """What the key reads of a virtual face, on its card."""
    value, limit = compared_with(reading.cosine, reading.threshold)
    end = "enough to prove whose face it was" if reading.same_person else "too little, so the right key will be refused"
    return f"With the key the original identity is read at {value} (accepted from {limit}): {end}."


def sentences(notes: Sequence[str]) -> list[str]:
    """Notes of the core as sentences."""
    return [f"{note[:1].upper()}{note[1:]}{'' if note.endswith('.') else '.'}" for note in notes]


def seconds(times: Mapping[str, float]) -> list[list[str]]:
    """Rows of the time table, and their sum."""
    rows = [[STAGES.get(name, name), f"{value:.2f} s"] for name, value in times.items()]
    return [*rows, ["in all", f"{sum(times.values()):.2f} s"]]


# ---- many photos

MANY = "A folder or a zip of photos"
MANY_LEAD = (
    "Every face of every photo is replaced; one that cannot be replaced is pixelated. Each photo gets a key of its "
    "own, derived from your key above and from its name, the label: nobody can link the photos, and you keep one key. "
    "To authenticate later, give your key and the label."
)
MANY_RUN = "Anonymise all photos"
MANY_HEADERS = ["label", "picture", "what was done"]
LABEL = "Label of the photo, if it was one of many"
LABEL_HELP = "As labels.csv has it. Leave it empty for a face that was made alone."

# ---- compare

COMPARE_LEAD = (
    "One photo under several keys gives several people (**diversity**). Several people under one key stay several "
    "people (**differentiation**). Two photos of one person under one key give one new person (**synchronism**)."
)
COMPARE_PHOTOS = "Up to four photos; give two of one person to see synchronism"
COMPARE_COUNT = "Number of keys"
COMPARE_KEYS = "Keys, one a line"
COMPARE_MAKE = "Make these keys"
COMPARE_RUN = "Compare"
COMPARE_EMPTY = "The grid appears here, face by face. Drag the handle below a face to lay the photo over it."
HEATMAP = "How alike the recogniser finds each pair of pictures"
COMPARE_TABLE = "The same numbers as a table"
MAX_PHOTOS, MAX_KEYS = 4, 8
NO_KEYS = ("there are no keys", "press “Make these keys”, or write one a line")
TOO_MANY_PHOTOS = ("more than four photos", "take some away")
TOO_MANY_KEYS = ("more than eight keys", "take some away")
ORIGINAL = "photo"
OVER = "{name}: lay the photo over it"
SAVE_ALL, SAVE_KEYS = "Save all pictures", "Save their keys"


def photo_name(number: int) -> str:
    return f"Photo {'ABCD'[number]}"


def key_name(number: int) -> str:
    return f"key {number + 1}"


def virtual_alt(photo: int, key: int) -> str:
    return f"Virtual face of photo {'ABCD'[photo]} under key {key + 1}"


def judged(cosine: float, threshold: float) -> str:
    """The line below a virtual face: what the recogniser says of it and its photo."""
    value, _ = compared_with(cosine, threshold)
    return f"{value} {'other person' if cosine < threshold else 'too close'}"


def comparing(done: int, of: int) -> str:
    """What is drawn of a grid, before the name of the stage."""
    return f"Face {done + 1} of {of}: "


def file_name(photo: int, key: int) -> str:
    """Of a virtual face in the zip of a grid."""
    return f"photo-{'ABCD'[photo].lower()}-key-{key + 1}.png"


def left_over(seconds: float) -> str:
    """An estimate, for the bar."""
    return f"about {span(seconds)} left"


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
    lines = [f"An independent recogniser calls two pictures one person from a similarity of {threshold:z.3f}."]
    told = (
        ("**Anonymity.** It takes {} new faces for somebody else than the photo.", anonymous),
        ("**Diversity.** Same photo, different keys: {} pairs are different people.", diversity),
        ("**Differentiation.** Different people, same key: {} pairs stay different.", differentiation),
        ("**Synchronism.** Two photos of one person, same key: {} pairs are one person.", synchronism),
    )
    lines += [f"- {line.format(share(*counts))}" for line, counts in told if counts[1]]
    if not synchronism[1]:
        lines.append("- **Synchronism** needs two photos of one person; the recogniser sees none among these.")
    return "\n".join(lines)


# ---- authenticate

AUTHENTICATE_LEAD = "Does this virtual face belong to the person in this photo? With the right key the answer is yes."
ROLES: Mapping[str, tuple[str, str]] = {  # in plain words, the paper's letters
    "U": ("You", "U"),
    "FAS": ("Anonymisation server", "FAS"),
    "cloud": ("The cloud, open to all", ""),
    "AD": ("Somebody curious", "AD"),
    "FR": ("Any face recogniser", "FR"),
    "VFAS": ("Authentication server", "VFAS"),
}
WALK = "The whole story in six steps (section III-B)"
STEP_DONE = " Done."
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
AUTH_RUN = "Authenticate"
AUTH_EMPTY = "The answer appears here."
SCENARIOS_RUN = "Ask in four ways"
SCENARIOS = "Similarity with the original face (cosine; Table VII)"
SCENARIO_TABLE = "The same as a table"
SCENARIO_HEADERS = ["who asks", "what they have", "picture used", "similarity", "accepted from", "decision"]
SCENARIO: Mapping[str, tuple[str, str, str]] = {  # number -> (title, what they have, picture used)
    "1": ("Key, but no server", "the key; no authentication server", "the face, anonymised again; any recogniser"),
    "2": ("Server, but no key", "the authentication server; no key", "the virtual face"),
    "3": ("Server, wrong key", "the server; a random key", "the virtual face"),
    "4": ("Server, right key", "the server and the key", "the virtual face"),
}
ACCEPTED, REFUSED = "accepted", "refused"
SCENARIOS_EMPTY = "Four ways to ask whose face it is (scenarios 1 to 4 of the paper), on the two pictures here."
SCENARIO_1_WAITS = "Scenario 1 takes longer: the virtual face is anonymised once more, as somebody with the key would."
FLIP_HEADERS = ["wrong bits", "mean similarity", "lowest", "highest", "the paper, LFW"]
BRUTE_HEADERS = ["similarity", "keys"]
THRESHOLD = "Accepted from this similarity on (threshold of KVFA)"
THRESHOLD_HELP = "Move it: decisions 2 to 4 follow at once. Scenario 1 keeps the recogniser's own."
ATTACKS = "## Attacks on the key"
ATTACKS_LEAD = "They use the two pictures and the key above."
FLIP = "Flip bits"
FLIP_COUNT = "Bits of the key to flip"
FLIP_RUN = "Flip them"
FLIP_CURVE = "Similarity against the number of wrong bits (Table XII)"
BRUTE = "Random keys"
BRUTE_RUN = "Try 1,000 random keys"
BRUTE_PLOT = "Similarities of random keys"
DICTIONARY = "Dictionary"
KNOWN = "What the adversary knows about you: names, places, years"
KNOWN_HELP = "Tried alone and joined, after some sixty common passphrases. Write nothing real."
DICTIONARY_RUN = "Try a dictionary"
DICTIONARY_HEX = "A random key stands in no dictionary. Choose “a passphrase” above to see this attack work."
TABLE_TWIN = "The numbers of this figure"
CSV = "Save as CSV"


def scenario_line(number: str) -> str:
    return f"{number}  {SCENARIO[number][0]}"


def verdict(answer: Verdict, public: bool = False) -> tuple[str, str]:
    """Headline and sentence of one authentication; for strangers a band stands in place of the cosine."""
    head = "Same person" if answer.same_person else "Not shown to be the same person"
    how = "with this key" if answer.key_used else "without a key"
    if public:
        band = BANDS[band_of(answer.cosine, answer.threshold)]
        return head, f"Read {how}, virtual face and photo show {band} the same person. A public server says no more."
    value, limit = compared_with(answer.cosine, answer.threshold)
    side = "at or above" if answer.same_person else "below"
    body = (
        f"Read {how}, virtual face and photo have a similarity of {value}, {side} the threshold {limit} (cosine, KVFA)."
    )
    return head, body


SWAPPED = "The two pictures look swapped: the other way round the key fits. Exchange them."
WRONG_KEY = (
    "Either the key is not the one that made this face, or the photo shows somebody else, or the face cannot be read "
    "well enough: made without refinement, by another method, or saved at low quality."
)
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
    value, limit = compared_with(cosine, threshold)
    return f"With {bits} flipped the similarity is **{value}**: {verdict_} at the threshold {limit}."


def brute(cosines: np.ndarray, threshold: float, chance: float, dimension: int, bits: int) -> str:
    hits = int(np.count_nonzero(cosines >= threshold))
    found = "None of them passes" if hits == 0 else f"{hits} of them pass{'es' if hits == 1 else ''}"
    best, limit = compared_with(float(np.max(cosines)), threshold)
    text = (
        f"{len(cosines):,} random keys were tried; the best reaches {best}. {found} the "
        f"threshold {limit}. By the law of random directions in {dimension} dimensions one key in "
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
    "## No scores yet\n"
    "There is no score file in `assets/scores`. Make one with photos of your own (a folder with a subfolder for each "
    "person):\n\n"
    "```\npython -m kfaar_core evaluate --table VI --data FOLDER -o assets/scores\n```\n"
    "and start the app again."
)
DATASET, KEYS, FORM, COMPARED = "Photos of", "Keys", "Method", "Compared with"
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


OWN = "## Your own photos"
OWN_LEAD = (
    "A folder with a subfolder for each person, two photos or more in each (person/photo.jpg), or a zip of it. The "
    "keys are random; each person takes some seconds. Nothing of it is kept."
)
ARCHIVE, FOLDER = "Zip of photos", "Choose a folder (your browser packs it)"
OWN_RUN, OWN_PEOPLE = "Measure on my photos", "People, at most"
OWN_KEYS_HELP = "Eight keys in turn take eight times as long."
NO_ARCHIVE = ("there are no photos yet", "choose a folder, or give a zip, of person/photo.jpg")


LISTS = "## Scores of others"
LISTS_LEAD = (
    "Scores that any other recogniser gave: one file of Bob (4 or 5 columns), CSV, Parquet or npz with named columns "
    "(score, label, person, other), or the genuine and the impostor file of pyeer. A score of nan is a failure."
)
LIST_FILES = "One score file, or two of pyeer"
LIST_DISTANCES = "These are distances: smaller means the same person"
LIST_RUN = "Show these scores"
LIST_HEADERS = ["figure", "value", "95 % interval", "note"]
LIST_WAITS = "being drawn"
NO_LIST = ("there is no score file yet", "choose one, or the two files of pyeer")


def list_read(genuine: int, impostor: int) -> str:
    return f"{genuine} genuine and {impostor} impostor scores. The intervals follow."


def form(name: str) -> str:
    """Preset, method and key length, as "lab-bits-8", for a visitor."""
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


def source(dataset: str, people: int, trials: int, made: str) -> str:
    """Whose scores these are."""
    return f"Measured on **{dataset}**, {people} people, {trials} trials; {made}."


def provenance(data_sha256: str, preset_sha256: str, weights: Mapping[str, str]) -> str:
    """The hashes that say what exactly was measured."""
    held = ", ".join(f"{name} `{digest[:12]}`" for name, digest in weights.items())
    return f"Photos `{data_sha256[:12]}`, settings `{preset_sha256[:12]}`" + (f", weights {held}" if held else "") + "."


PROVENANCE_TITLE = "What exactly was measured (hashes)"
DATASETS: Mapping[str, str] = {"lfw": "LFW", "celeba": "CelebA", "synthetic": "synthetic people", "yours": "yours"}
MEANING_TITLE = "What AUC, EER, CRR, FAR, TAR and DET mean"
MEANING_HEADERS = ["", "in words"]
MEANING = (
    ["threshold", "The server says “same person” from this similarity on."],
    ["FAR", "False acceptance rate: share of strangers who are accepted. 0 is best."],
    ["FRR", "False rejection rate: share of right people with the right key who are refused. 0 is best."],
    ["TAR", "True acceptance rate: share of right people with the right key who are accepted; 1 - FRR."],
    ["CRR", "Correct recognition rate: share of all trials, of both kinds, that are decided rightly. 1 is best."],
    ["EER", "Equal error rate: where FAR and FRR are the same. 0 is best, 0.5 is guessing."],
    ["AUC", "Area under the ROC: how often a right person scores higher than a stranger. 1 is best, 0.5 is guessing."],
    ["ROC", "The curve of TAR over FAR for every threshold."],
    ["DET", "The same with both errors on it, FRR over FAR, spread out where both are small."],
)
FIGURE_SAYS: Mapping[str, str] = {
    "roc": "Accepted right people (TAR) for each share of accepted strangers (FAR). Up and left is better.",
    "det": "Refused right people (FRR) for each share of accepted strangers (FAR). Down and left is better.",
    "histograms": "How similar the read identity is to the photo, by who asks. The line is the threshold.",
    "rates": "What each threshold does: right decisions (CRR), accepted strangers (FAR), refused right people (FRR).",
}


def dataset(name: str) -> str:
    """A data set for a visitor."""
    return DATASETS.get(name, name)


# ---- figures

FIGURES = "Figures"
FIGURES_LEAD = "The galleries of the paper, of people who do not exist; below, the same of your own photos."
FIGURE = "Figure"
FIGURE_NAMES: Mapping[str, str] = {
    "5": "5, virtual faces",
    "6": "6, several keys",
    "7": "7, posture correction",
    "8": "8, no way back",
}
FIGURE_LABEL = "Gallery"
FIGURE_ALT = "Gallery of the chosen figure: photos in front, their virtual faces beside them"
FIGURE_SYNTHETIC = "Made once, of people who do not exist."
FIGURE_OWN = "## Of your own photos"
FIGURE_PHOTOS = "Up to four photos"
FIGURE_RUN = "Draw this figure"
NO_FIGURE = ("this gallery has not been made", "run `python -m benchmarks.figures`, or draw it of your own photos")
FIGURES_MORE = (
    "Fig. 9a is under “ROC and thresholds”. Fig. 9b and Fig. 10 train the networks again with other weights of the "
    "losses: `python -m kfaar_core figure 9b -o figure.html`, which needs LFW and the caches of the training."
)


def figure_drawn(title: str) -> str:
    return f"{title}. The keys are random; nothing of it is kept."


# ---- about

METHOD_TITLE = "The method in one picture"
METHOD_UP, METHOD_DOWN = "Anonymise (Algorithm 1)", "Authenticate (Algorithm 2)"
METHOD_STEPS_UP = (
    ("your photo", "x"),
    ("read who it is", "encoder E"),
    ("let the key choose another identity", "P with key k"),
    ("draw that person", "generator G"),
    ("take over pose and expression", "G_f"),
    ("virtual face", "x_v"),
)
METHOD_STEPS_DOWN = (
    ("virtual face", "x_v"),
    ("read its features", "F"),
    ("undo with the key", "MLP with key k"),
    ("compare with a photo of the person", "cosine with I(x)"),
    ("same person, or not", "threshold"),
)
RUNS = "## What runs here"
WEIGHTS_TITLE = "Networks and their licences"
WEIGHT_HEADERS = ["network", "licence of the weights", "trained on", "source"]
PAPER_TITLE = "From the paper to the code"
PAPER_HEADERS = ["in the paper", "what it is", "in the code"]
DEVIATIONS_TITLE = "Where this differs from the paper, and why"
DEVIATION_HEADERS = ["in the paper", "what it does", "what is done here", "why"]
LIMITS = """## Limits

- The generator draws frontal, well-lit faces best. Glasses, hands and profiles may vanish or change.
- The protection is against recognising the **face**. Clothes, place and the rest of a photo can still name a person.
- Everything secret is in the key. Whoever has key and virtual face can test whose face it is; a lost key cannot be
  recovered, and a key of 8 bits protects nothing.
- The strength of the shown method is bounded by the number of dimensions that it compares, not by the key's length.
- Numbers here are measured on public photo sets that do not stand for everybody: expect errors to differ by age, skin
  tone and gender.
"""
ETHICS = """## Consent and ethics

Use photos of people who agreed to it, or the synthetic examples. Do not use a virtual face to pretend to be somebody,
and do not present it as a photo of a real person. The app keeps nothing: pictures that the browser sends are deleted
within minutes, keys are never stored, and no usage data is collected.
"""


def facts(what: Facts, methods: Sequence[Method], chance: float) -> str:
    """What runs; `methods` can be chosen, the first is the default that the numbers are of."""
    others = f" (to choose from: {', '.join(method.name for method in methods)})" if len(methods) > 1 else ""
    return (
        f"- Preset **{what.preset}** on **{what.device}**, method **{what.method}**{others}, {what.dimension} "
        f"compared dimensions\n"
        f"- The authentication server (KVFA) says “same person” from a cosine of **{what.threshold:z.3f}**; a random "
        f"key passes once in **{one_in(chance)}** tries\n"
        f"- An independent recogniser, which no training saw, calls two faces one person from "
        f"**{what.judge_threshold:z.3f}**"
    )


# ---- attacks

ATTACKS_TAB = "Attacks"
ATTACKS_TAB_LEAD = (
    "Who can learn what from a virtual face? Each attack below says what somebody holds and what they find out "
    "with it, measured on people that nothing was trained on."
)
WEAKEST = "The weakest point"
WEAKEST_SAYS = (
    "is a key that many people share. Give everybody a key of their own, as the app and the command line do, and keep "
    "keys as secret as passwords: whoever has a key can do all that its owner can. Head pose and expression are kept "
    "on purpose; whoever holds the very photo can find it by them."
)
WHO_HEADERS = ["attack", "somebody holds", "and wants to learn", "what comes of it", "targets"]
WHO = "Who can learn what"
NO_ATTACKS = (
    "## No results yet\n"
    "There is no result of an attack in `assets/scores/attacks`. Make some:\n\n"
    "```\npython -m kfaar_core attack all --data lfw -o assets/scores/attacks\n```\n"
    "and start the app again. You can still run each attack on people who do not exist, below."
)
ATTACK_CHOICE, ATTACK_MADE, ATTACK_CURVE = "Attack", "Faces", "Curve"
ATTACK_HEADERS = ["what is counted", "at", "value", "95 % interval", "trials", "guessing", "note"]
ATTACK_FIGURES = "Success against what is held"
ATTACK_LIVE = "## Run it now"
ATTACK_LIVE_LEAD = (
    "On faces of people who do not exist, made for this without refinement. The first run makes the faces and takes "
    "minutes; after that they are kept on this machine. Few people mean wide intervals."
)
ATTACK_PEOPLE = "People"
ATTACK_RUN = "Run this attack"


def attack_name(code: str, title: str) -> str:
    return f"{code}  {title}"


def attack_made(dataset_: str, faces: str) -> str:
    return f"{dataset(dataset_)}; {faces}"


def attack_provenance(people: int, left_out: int, seed: int, command: str, weights: Mapping[str, str]) -> str:
    pins = ", ".join(f"{name} {digest[:12]}" for name, digest in sorted(weights.items()))
    made = f"\n\nMade by `{command}`." if command else ""
    return (
        f"{people} people, {left_out} left out because no face was found; seed {seed}.{made}\n\nWeights: {pins or '-'}."
    )


def targets_met(met: int, of: int) -> str:
    return "-" if of == 0 else "met" if met == of else f"{of - met} of {of} missed"


def attacking(done: int, of: int) -> str:
    return f"{done} of {of} done"
