"""Index of the paper: where each of its equations, algorithms, figures and tables lives here, and where we deviate.

Paper: "A key-driven framework for identity-preserving face anonymization" (KFAAR), NDSS 2025. What is not listed is not
built yet: among them Eq. 15-16, which the paper gives no loss either, and Tables V, VIII and XI.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import reduce


@dataclass(frozen=True)
class Place:
    """One place of the paper and the code that stands for it."""

    label: str  # as the target's docstring writes it, for example "Eq. 1"
    target: str  # "module" or "module:name", without the leading package
    what: str  # in a few words


@dataclass(frozen=True)
class Deviation:
    """Something that we do in another way than the paper says."""

    label: str  # the place of the paper
    paper: str  # what it does
    ours: str  # what is done here
    reason: str


PLACES = (
    Place("Eq. 1", "metrics.anonymity:different", "anonymity: x and x_v are two people to a recogniser"),
    Place("Eq. 2", "metrics.verification:auc", "synchronism: one person under one key stays one virtual person"),
    Place("Eq. 3", "metrics.anonymity:different", "diversity: two keys give two virtual people"),
    Place("Eq. 4", "metrics.anonymity:different", "differentiation: two people under one key stay two"),
    Place("Eq. 5", "losses:cosine_loss", "L_cos, which pulls one person together and pushes two apart"),
    Place("Eq. 6", "losses:anonymity", "L_ano"),
    Place("Eq. 7", "losses:synchronism", "L_syn"),
    Place("Eq. 8", "losses:diversity", "L_div"),
    Place("Eq. 9", "losses:differentiation", "L_dif"),
    Place("Eq. 10", "losses:projector_total", "L_tot of P"),
    Place("Eq. 11", "stages.identify:Identifier.keyless", "without a key x_v is somebody else"),
    Place("Eq. 12", "metrics.random_direction:law_test", "with a wrong key x_v is somebody else"),
    Place("Eq. 13", "scenarios.pairs:impostors", "two people stay two under their right keys"),
    Place("Eq. 14", "scenarios.pairs:same_photo", "with the right key x_v is the person of x"),
    Place("Eq. 17", "losses:without_key", "L_pmis1"),
    Place("Eq. 18", "losses:wrong_key", "L_pmis2"),
    Place("Eq. 19", "losses:other_person", "L_pmis3"),
    Place("Eq. 20", "losses:misidentification_total", "L_tot1"),
    Place("Eq. 21", "losses:right_key", "L_per1"),
    Place("Eq. 22", "losses:other_photo", "L_per2"),
    Place("Eq. 23", "losses:false_rejection_total", "L_tot2"),
    Place("Eq. 24", "losses:recogniser_total", "L_tot of KVFA"),
    Place("Alg. 1", "pipeline:anonymise", "virtual face generation"),
    Place("Alg. 1", "stages.encode", "step 4: z = E(x)"),
    Place("Alg. 1", "methods.base:Projector", "step 5: z' = P(z, k)"),
    Place("Alg. 1", "stages.generate", "steps 6 and 7: z+ = M(z'), x' = G(z+)"),
    Place("Alg. 1", "stages.correct", "step 8: x_v = G_f(x', x)"),
    Place("Alg. 2", "servers:AuthenticationServer.authenticate", "face authentication"),
    Place("Alg. 2", "stages.identify:compare", "Conditions 1 and 2"),
    Place("Fig. 2", "servers", "the participants U, FAS and VFAS"),
    Place("Fig. 3", "assemble:Stages", "every box of HPVFG and KVFA"),
    Place("Fig. 9a", "metrics.verification:best_crr_threshold", "the threshold with the highest CRR"),
    Place("Fig. 9a", "report.plots:rates_by_threshold", "CRR against the threshold"),
    Place("Table II", "metrics.anonymity:different", "anonymity and diversity"),
    Place("Table III", "metrics.verification:auc", "synchronism"),
    Place("Table IV", "metrics.pose", "head pose and expression kept"),
    Place("Table VI", "report.tables:table_vi", "recognition accuracy of KVFA"),
    Place("Table VII", "report.tables:table_vii", "similarity in four authentication scenarios"),
    Place("Table VII", "scenarios.populations:Scenario", "what each scenario compares"),
    Place("Table IX", "evaluate.ablate_projector:table_ix", "each loss of HPVFG left out"),
    Place("Table X", "evaluate.ablate_kvfa:table_x", "losses of KVFA left out"),
    Place("Table XII", "report.plots:flipped_bits", "keys with wrong bits"),
    Place("Section III", "servers", "system model"),
    Place("Section III-C-1", "servers:AuthenticationServer", "guessing of keys: tries are limited"),
    Place("Section IV-B-2", "nets.mobile_stylegan", "mapping network and generator"),
    Place("Section IV-B-2", "nets.projector_net", "networks of P"),
    Place("Section IV-B-3", "losses:projector_terms", "what P is trained for"),
    Place("Section IV-B-3", "train.projector", "how P is trained"),
    Place("Section IV-C-2", "stages.identify", "architecture of KVFA"),
    Place("Section IV-C-2", "nets.reader_net", "F, with four hidden layers"),
    Place("Section IV-C-2", "stages.face_view", "what F sees: the face's shape and its texture, apart"),
    Place("Section IV-C-2", "nets.keyed_net", "the MLP that joins what F reads with the key"),
    Place("Section IV-C-3", "losses:recogniser_terms", "what KVFA is trained for"),
    Place("Section IV-C-3", "train.reader", "how F is trained"),
    Place("Section V-A", "train.settings:Training", "the weights of the losses"),
    Place("Section V-C", "presets:Preset", "the threshold 0.7"),
    Place("Section VI-A", "servers:AnonymisationServer", "the server keeps no photo and no key"),
    Place("Section VI-B", "servers:User.key_gen", "KeyGen on the user's side"),
    Place("Section VI-C-2", "servers:AnonymisationServer.anonymise", "another key when the faces are too close"),
    Place("Section VI-C-2", "pipeline:rejection_reason", "which virtual faces are not good enough"),
    Place("Section VI-C-2", "stages.judge:look_distance", "how alike x and x_v look"),
)

DEVIATIONS = (
    Deviation(
        "Alg. 1",
        "P answers a z, and M takes it to the styles",
        "in `floor` and `hashed` P answers a w for each of three groups of layers, so that M is the identity for it; "
        "in `bits` it answers a z, and what M makes of it moves a share of the way to the mean style",
        "pose and identity are nearly linear in w, and the payload can be put where it is read best; faces nearer to "
        "the mean style look more real",
    ),
    Deviation(
        "Alg. 1",
        "P is an MLP over z and the key's bits, side by side",
        "in `floor` and `hashed` SHAKE-256 of the key seeds a rotation of the identity, and what is learned does not "
        "know the key; `bits` is the paper's form",
        "a key that is wrong in one bit is as wrong as any other, and the law of its cosine is known",
    ),
    Deviation(
        "Alg. 1",
        "G_f is FaceVid2Vid, which animates x' as a picture",
        "the latent moves by a fitted gain until the measured posture agrees, then a similarity places the picture",
        "no download, a fraction of the time on a CPU, and the picture stays one that the generator draws",
    ),
    Deviation(
        "Alg. 1",
        "x_v is what the trained networks answer",
        "in `hashed` the latent of x_v descends a few steps more on KVFA's own reading, on the person whom E and a "
        "second recogniser (dlib's) see, who shall be that of the code and show nothing that all virtual faces share, "
        "on being no nearer to the photo than strangers are, and on the posture (stages.refine); `floor` and `bits` go "
        "without",
        "what a face really shows differs from what P could foresee; no key or photo of anyone else is needed for it",
    ),
    Deviation(
        "Section IV-B-2",
        "G is StyleGAN2, trained on LFW and CelebA, with 18 styles",
        "G is MobileStyleGAN, distilled from StyleGAN2 on FFHQ, with 23 styles",
        "small enough to be committed and fast on a CPU",
    ),
    Deviation(
        "Section IV-B-2",
        "E is FaceNet; ArcFace and SphereFace are the recognisers R of the tables",
        "E is SFace (OpenCV Zoo, Apache-2.0), in `hashed` with what its last layer is fed and dlib's network (CC0) "
        "beside it; the judge is a network of ours that nothing here is trained with",
        "all can be committed; two photos of one person agree better by what the last layer is fed and by a second "
        "network as well; the judge shares neither weights nor architecture with either",
    ),
    Deviation(
        "Section IV-C-2",
        "F has four hidden layers of its own, and an MLP joins its feature with the key",
        "in `floor` a linear map reads E's feature of x_v, in `hashed` E's of the face alone, grey beyond its "
        "landmarks, and what F reads; the key's rotation turns the reading back, and nothing but normalisation "
        "follows. `bits` is the paper's form, whose MLP reads E's feature of the picture beside what F reads",
        "what is learned does not know the key, so that the law of wrong keys holds whatever it has learned",
    ),
    Deviation(
        "Section IV-C-2",
        "I(x) = F(x): one network reads photos and virtual faces",
        "I(x) is a linear map of what the encoder sees; virtual faces in `hashed` are read by E as well and by F, "
        "which is never trained on a photo",
        "E and dlib's network know people from many more photos than there are here to train F with",
    ),
    Deviation(
        "Section IV-C-2",
        "F takes the picture",
        "F takes the landmarks of the face and its texture, warped to the mean face, as active appearance models do "
        "(Cootes, Edwards and Taylor, 2001)",
        "pose and expression move no part of the texture, so that F need not learn to undo them, and nothing beside "
        "the face can help or harm",
    ),
    Deviation(
        "Section IV-C-2",
        "HPVFG and KVFA are trained with the losses of Eq. 5-10 and 17-24",
        "every map of `floor` is fitted in closed form on training people and renders",
        "the floor to beat: it always works and needs no GPU",
    ),
    Deviation(
        "Section IV-B-3",
        "R looks at the pictures that G draws",
        "while P trains, a network fitted on cached renders answers R(G(w)) from w",
        "a picture and its gradient take a CPU a second; the results are measured on pictures",
    ),
    Deviation(
        "Section IV-B-3",
        "L_tot has four terms",
        "a fifth asks that the corrected face still tells its code or identity, a sixth that no coordinate of a style "
        "is unusual, and in `bits` a seventh (Eq. 18 over a stand-in for KVFA) that it tells nothing to a wrong key",
        "P is trained before F; without them it may hide the identity where no reader finds it, leave the faces, or "
        "show one identity whatever the key",
    ),
    Deviation(
        "Section IV-B-3",
        "Adam with betas 0.9 and 0.999 at a learning rate of 1e-4, for 10 epochs",
        "one cycle of the learning rate, up to a higher peak and down to nearly 0, in which the first beta moves the "
        "other way; triplets and keys are drawn afresh at every step",
        "it takes fewer steps, and keys that training has not seen are the rule in use",
    ),
    Deviation(
        "Section IV-C-3",
        "the losses train F and the MLP at once",
        "F first learns to read the styles of any face and of a draft of P's, then the code of `hashed`; the MLP of "
        "`bits` learns over this F, which stays as it is, goes on from the reader that P was trained with, and sees "
        "what F would read of P's faces through a stand-in fitted on renders",
        "renders are what costs a CPU most, one F serves every form, and on as few renders the MLP learned by heart",
    ),
    Deviation(
        "Eq. 11",
        "nothing is said of what the keyed MLP reads without a key",
        "in `bits` it reads zeros in the place of the key's bits, which are +-1",
        "a read-out that anyone has who holds the weights",
    ),
    Deviation(
        "Eq. 5",
        "the margin m is a hyperparameter without a value",
        "m is 0 unless it is set otherwise",
        "features are centred, so that the cosines of strangers lie around 0",
    ),
    Deviation(
        "Alg. 2",
        "Condition 1 compares F(x) with F(x_v)",
        "Condition 1 compares I(x) with the most similar of all read-outs that need no key",
        "an adversary would choose that one",
    ),
    Deviation(
        "Section V-C",
        "cosines of raw features",
        "features are centred with a mean fitted on training people before they are compared",
        "raw cosines between strangers are high for some recognisers, which flatters every similarity",
    ),
    Deviation(
        "Section V-C",
        "the threshold is 0.7",
        "in force is the threshold with the highest CRR on dev people among those that accept at most 0.5 % of dev "
        "impostors; 0.7 stands beside it in every table",
        "the scale of cosines depends on the features, and CRR alone would let more impostors in; no score is "
        "rescaled to please 0.7",
    ),
    Deviation(
        "Table VI",
        "CRR is not defined, nor are the pairs behind CRR, FAR and AUC",
        "CRR is the share of right decisions over as many impostors as genuine pairs; x and another photo of the "
        "person are scored apart",
        "Fig. 9a has an inner maximum, as an accuracy has; another photo is the harder and the usual case",
    ),
    Deviation(
        "Section V-A",
        "nothing is said of photos with several faces",
        "evaluations take the face nearest to the middle of a photo; app and servers the largest, or the one asked for",
        "LFW and CelebA name the person in the middle; a larger bystander would count as that person",
    ),
    Deviation(
        "Table IV",
        "pose and expression by Face++",
        "by MediaPipe's Face Landmarker, with solvePnP on MTCNN's points as an independent look",
        "it runs locally; Face++ would send photos to a service",
    ),
    Deviation(
        "Section VI-B",
        "keys of 8, 128 and 256 bits; the main tables use 8",
        "8 to 512 bits, 256 unless asked otherwise, from the random source, hex or a passphrase (Argon2id)",
        "8 bits can be tried out by hand",
    ),
    Deviation(
        "Section III-C-1",
        "nothing limits how often an adversary may ask",
        "a limit on tries for each client and virtual face, and an audit line without secrets",
        "d bounds how rare a lucky key is, so that asking must not be free",
    ),
    Deviation(
        "Alg. 1",
        "the whole portrait is virtual, its background too",
        "the same, or on request the virtual face is pasted back into the whole photo",
        "group photos and documents need their surroundings",
    ),
)


def resolve(target: str) -> object:
    """The module, class or function that a place names."""
    module, _, name = target.partition(":")
    return reduce(getattr, name.split(".") if name else [], importlib.import_module(f"kfaar_core.{module}"))
