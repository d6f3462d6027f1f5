"""Index of the paper: the code of each equation, algorithm, figure and table, and our deviations from the paper.

Paper: "A key-driven framework for identity-preserving face anonymization" (KFAAR), NDSS 2025. What is not listed is not
implemented, for example Tables V, VIII and XI, and Eq. 15-16, for which the paper gives no loss.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import reduce


@dataclass(frozen=True)
class PaperRef:
    """One equation, algorithm, figure, table or section of the paper, and the code that implements it."""

    label: str  # for example "Eq. 1", as in the docstring of the target
    target: str  # "module" or "module:name", without the package kfaar_core
    what: str  # a short description


@dataclass(frozen=True)
class Deviation:
    """One deviation of this project from the paper."""

    label: str  # as in REFERENCES
    paper: str  # what the paper does
    ours: str  # what this project does
    reason: str


REFERENCES = (
    PaperRef("Eq. 1", "metrics.anonymity:different", "anonymity: a face encoder takes x and x_v for two people"),
    PaperRef("Eq. 2", "metrics.verification:auc", "synchronism: one person under one key stays one virtual person"),
    PaperRef("Eq. 3", "metrics.anonymity:different", "diversity: two keys give two virtual people"),
    PaperRef("Eq. 4", "metrics.anonymity:different", "differentiation: two people under one key stay two"),
    PaperRef("Eq. 5", "losses:cosine_loss", "L_cos, the cosine loss for the same person or two people"),
    PaperRef("Eq. 6", "losses:anonymity", "L_ano"),
    PaperRef("Eq. 7", "losses:synchronism", "L_syn"),
    PaperRef("Eq. 8", "losses:diversity", "L_div"),
    PaperRef("Eq. 9", "losses:differentiation", "L_dif"),
    PaperRef("Eq. 10", "losses:projector_total", "L_tot of P"),
    PaperRef("Eq. 11", "stages.identify:Identifier.keyless", "without a key, x_v is not the person of x"),
    PaperRef("Eq. 12", "metrics.random_direction:law_test", "with a wrong key, x_v is not the person of x"),
    PaperRef("Eq. 13", "scenarios.pairs:impostors", "with their right keys, two people stay two"),
    PaperRef("Eq. 14", "scenarios.pairs:same_photo", "with the right key, x_v is the person of x"),
    PaperRef("Eq. 17", "losses:without_key", "L_pmis1"),
    PaperRef("Eq. 18", "losses:wrong_key", "L_pmis2"),
    PaperRef("Eq. 19", "losses:other_person", "L_pmis3"),
    PaperRef("Eq. 20", "losses:misidentification_total", "L_tot1"),
    PaperRef("Eq. 21", "losses:right_key", "L_per1"),
    PaperRef("Eq. 22", "losses:other_photo", "L_per2"),
    PaperRef("Eq. 23", "losses:false_rejection_total", "L_tot2"),
    PaperRef("Eq. 24", "losses:kvfa_total", "L_tot of KVFA"),
    PaperRef("Alg. 1", "pipeline:anonymise", "virtual face generation"),
    PaperRef("Alg. 1", "stages.encode", "step 4: z = E(x)"),
    PaperRef("Alg. 1", "methods.base:Projector", "step 5: z' = P(z, k)"),
    PaperRef("Alg. 1", "stages.generate", "steps 6 and 7: z+ = M(z'), x' = G(z+)"),
    PaperRef("Alg. 1", "stages.correct", "step 8: x_v = G_f(x', x)"),
    PaperRef("Alg. 2", "servers:AuthenticationServer.authenticate", "face authentication"),
    PaperRef("Alg. 2", "stages.identify:compare", "Conditions 1 and 2"),
    PaperRef("Fig. 2", "servers", "the participants U, FAS and VFAS"),
    PaperRef("Fig. 3", "assemble:Stages", "every stage of HPVFG and KVFA"),
    PaperRef("Fig. 5", "evaluate.galleries:figure_5", "photos and their virtual faces"),
    PaperRef("Fig. 6", "evaluate.galleries:figure_6", "photos under several keys"),
    PaperRef("Fig. 7", "evaluate.galleries:figure_7", "virtual faces with and without posture correction"),
    PaperRef("Fig. 8", "evaluate.galleries:figure_8", "virtual faces, anonymised again with the right key"),
    PaperRef("Fig. 9b", "evaluate.ablation:sweep", "each weight of KVFA's losses in turn"),
    PaperRef("Fig. 10", "report.plots:weights_of_losses", "figures against the weight of each loss of HPVFG"),
    PaperRef("Fig. 9a", "metrics.verification:best_crr_threshold", "the threshold with the highest CRR"),
    PaperRef("Fig. 9a", "report.plots:rates_by_threshold", "CRR against the threshold"),
    PaperRef("Table II", "metrics.anonymity:different", "anonymity and diversity"),
    PaperRef("Table III", "metrics.verification:auc", "synchronism"),
    PaperRef("Table IV", "metrics.pose", "head pose and expression kept"),
    PaperRef("Table VI", "report.tables:table_vi", "recognition accuracy of KVFA"),
    PaperRef("Table VII", "report.tables:table_vii", "similarity in four authentication scenarios"),
    PaperRef("Table VII", "scenarios.populations:Scenario", "what each scenario compares"),
    PaperRef("Table IX", "evaluate.ablate_projector:table_ix", "each loss of HPVFG left out"),
    PaperRef("Table X", "evaluate.ablate_kvfa:table_x", "losses of KVFA left out"),
    PaperRef("Table XII", "report.plots:flipped_bits", "keys with wrong bits"),
    PaperRef("Section III", "servers", "system model"),
    PaperRef("Section III-C-1", "servers:AuthenticationServer", "the limit on tries, against guessing of keys"),
    PaperRef("Section IV-B-2", "nets.mobile_stylegan", "mapping network and generator"),
    PaperRef("Section IV-B-2", "nets.projector_net", "networks of P"),
    PaperRef("Section IV-B-3", "losses:projector_terms", "the losses of P"),
    PaperRef("Section IV-B-3", "train.projector", "how P is trained"),
    PaperRef("Section IV-C-2", "stages.identify", "architecture of KVFA"),
    PaperRef("Section IV-C-2", "nets.reader_net", "F, with four hidden layers"),
    PaperRef("Section IV-C-2", "stages.face_view", "the input of F: the face's shape and its shape-free texture"),
    PaperRef("Section IV-C-2", "nets.keyed_net", "the MLP over the output of F and the key"),
    PaperRef("Section IV-C-3", "losses:kvfa_terms", "the losses of KVFA"),
    PaperRef("Section IV-C-3", "train.reader", "how F is trained"),
    PaperRef("Section V-A", "train.settings:Training", "the weights of the losses"),
    PaperRef("Section V-C", "presets:Preset", "the threshold 0.7"),
    PaperRef("Section VI-A", "servers:AnonymisationServer", "the server keeps no photo and no key"),
    PaperRef("Section VI-B", "servers:User.key_gen", "KeyGen on the user's side"),
    PaperRef(
        "Section VI-C-2",
        "servers:AnonymisationServer.anonymise",
        "another key if a virtual face is rejected",
    ),
    PaperRef("Section VI-C-2", "pipeline:rejection_reason", "which virtual faces are not good enough"),
    PaperRef("Section VI-C-2", "stages.judge:look_distance", "the visual difference of x and x_v"),
)

DEVIATIONS = (
    Deviation(
        "Alg. 1",
        "P outputs a z, and M maps it to the styles",
        "in `floor` and `hashed`, P outputs a w for each of three groups of layers and skips M; in `bits`, P outputs a "
        "z, and w = M(z) is truncated towards the mean style",
        "pose and identity are nearly linear in w, and P can write the payload to the directions that are decoded "
        "best; faces closer to the mean style look more realistic",
    ),
    Deviation(
        "Alg. 1",
        "P is an MLP over z concatenated with the key's bits",
        "in `floor` and `hashed`, SHAKE-256 of the key seeds a rotation of the identity, and no learned layer uses the "
        "key; `bits` is the paper's method",
        "a key with one wrong bit is as wrong as any other, and the distribution of its cosine is known",
    ),
    Deviation(
        "Alg. 1",
        "G_f is FaceVid2Vid, which animates x' as a picture",
        "steps in w by a fitted gain bring the measured posture to that of x; a similarity then aligns the picture",
        "it needs no download, is much faster on a CPU, and keeps the picture in the generator's range",
    ),
    Deviation(
        "Alg. 1",
        "x_v is the output of the trained networks",
        "in `hashed`, the latent of x_v is refined by gradient descent (stages.refine). The loss asks that KVFA "
        "decodes the code, that the embeddings of E and of an auxiliary encoder (dlib's) match the code and contain "
        "nothing that all virtual faces share, that x_v is no closer to the photo than strangers are, and that the "
        "posture is kept. `floor` and `bits` are not refined",
        "rendered faces differ from the predictions of the networks that P was trained with; refinement needs no other "
        "person's key or photo",
    ),
    Deviation(
        "Section IV-B-2",
        "G is StyleGAN2, trained on LFW and CelebA, with 18 styles",
        "G is MobileStyleGAN, distilled from StyleGAN2 on FFHQ, with 23 styles",
        "it is small enough to be committed and fast on a CPU",
    ),
    Deviation(
        "Section IV-B-2",
        "E is FaceNet; ArcFace and SphereFace are the face encoders R of the tables",
        "E is SFace (OpenCV Zoo, Apache-2.0). In `hashed`, its penultimate activations and the embedding by dlib's "
        "network (CC0) are concatenated to it. The judge is a network of this project; nothing is trained against it",
        "all of them can be committed; penultimate activations and the auxiliary encoder make two photos of one person "
        "more similar; the judge shares neither weights nor architecture with the other encoders",
    ),
    Deviation(
        "Section IV-C-2",
        "F has four hidden layers, and an MLP takes its output and the key",
        "in `floor`, a linear map decodes the code from E's embedding of x_v; in `hashed`, from E's embedding of the "
        "masked face and from the output of F. The key's inverse rotation follows, and no learned layer after it. "
        "`bits` is the paper's method; its MLP also takes E's embedding of the picture",
        "no learned layer uses the key, so the law of wrong keys holds whatever has been learned",
    ),
    Deviation(
        "Section IV-C-2",
        "I(x) = F(x): one network reads photos and virtual faces",
        "I(x) is a linear map of the embedding. In `hashed`, virtual faces are read by E and by F, which is never "
        "trained on photos",
        "E and dlib's network were trained on many more photos than are available here for F",
    ),
    Deviation(
        "Section IV-C-2",
        "the input of F is the picture",
        "the input of F is the landmarks of the face and its texture, warped to the mean face, as in active appearance "
        "models (Cootes, Edwards and Taylor, 2001)",
        "F need not learn invariance to pose and expression, and hair, clothes and background have no influence",
    ),
    Deviation(
        "Section IV-C-2",
        "HPVFG and KVFA are trained with the losses of Eq. 5-10 and 17-24",
        "every map of `floor` is fitted in closed form on training people and renders",
        "it is a baseline that needs no GPU and always converges",
    ),
    Deviation(
        "Section IV-B-3",
        "the losses use R(G(w)), computed on rendered pictures",
        "while P is trained, a surrogate network fitted on cached renders predicts R(G(w)) from w",
        "a render and its gradient take a second on a CPU; all results are measured on rendered pictures",
    ),
    Deviation(
        "Section IV-B-3",
        "L_tot has four terms",
        "a fifth term asks that the code or identity can be decoded from the corrected face; a sixth keeps the natural "
        "coordinates of w near 0; in `bits`, a seventh (Eq. 18 with a surrogate of KVFA) asks that a wrong key decodes "
        "nothing",
        "P is trained before F. Without these terms P may encode the identity where no reader can decode it, leave the "
        "range of realistic faces, or give the same identity for every key",
    ),
    Deviation(
        "Section IV-B-3",
        "Adam with betas 0.9 and 0.999 at a learning rate of 1e-4, for 10 epochs",
        "the one-cycle schedule: the learning rate rises to a higher peak and falls to nearly 0, and the first beta "
        "changes inversely; every step has new random triplets and keys",
        "it needs fewer steps, and almost every key in use is new to the networks",
    ),
    Deviation(
        "Section IV-C-3",
        "the losses train F and the MLP jointly",
        "F is first trained to predict the styles of random faces and of faces by a bootstrap P, then the code of "
        "`hashed`. The MLP of `bits` is trained on the frozen F, starting from the reader that P was trained with; a "
        "surrogate fitted on renders predicts the output of F for faces by P",
        "renders are the most expensive part on a CPU, one F serves all methods, and with as few renders the MLP "
        "overfitted",
    ),
    Deviation(
        "Eq. 11",
        "the input of the keyed MLP without a key is not stated",
        "in `bits`, zeros replace the key's bits, which are +-1",
        "anyone with the weights can compute this read-out",
    ),
    Deviation(
        "Eq. 5",
        "the margin m is a hyperparameter without a value",
        "m is 0 unless it is set otherwise",
        "embeddings are centred, so the cosines of strangers are around 0",
    ),
    Deviation(
        "Alg. 2",
        "Condition 1 compares F(x) with F(x_v)",
        "Condition 1 compares I(x) with the most similar of all read-outs that need no key",
        "an attacker would use that one",
    ),
    Deviation(
        "Section V-C",
        "cosines of embeddings that are not centred",
        "embeddings are centred by the mean over training people before they are compared",
        "for some face encoders, raw cosines between strangers are high, which inflates every similarity",
    ),
    Deviation(
        "Section V-C",
        "the threshold is 0.7",
        "the threshold with the highest CRR on dev people among those that accept at most 0.5 % of dev impostors; the "
        "tables report 0.7 as well",
        "the scale of cosines depends on the embeddings, and CRR alone would accept more impostors; scores are not "
        "rescaled to fit 0.7",
    ),
    Deviation(
        "Table VI",
        "CRR is not defined, nor are the pairs behind CRR, FAR and AUC",
        "CRR is the share of right decisions with genuine pairs and impostors weighted equally; the same photo and "
        "another photo of the person are reported separately",
        "the curve of Fig. 9a has an inner maximum, as an accuracy has; another photo is the harder and the usual case",
    ),
    Deviation(
        "Section V-A",
        "photos with several faces are not mentioned",
        "evaluations use the face closest to the middle; app and servers use the largest or the chosen one",
        "the labels of LFW and CelebA are for the face in the middle; a larger bystander would count as that person",
    ),
    Deviation(
        "Table IV",
        "pose and expression by Face++",
        "by MediaPipe's Face Landmarker, and independently by solvePnP on MTCNN's points",
        "it runs locally; Face++ would send photos to a service",
    ),
    Deviation(
        "Section VI-B",
        "keys of 8, 128 and 256 bits; the main tables use 8",
        "8 to 512 bits, 256 by default, from the random source, hex or a passphrase (Argon2id)",
        "all keys of 8 bits can be tried by hand",
    ),
    Deviation(
        "Section III",
        "a user has one key; nothing is said of one user who anonymises many people",
        "each person of a run has a key that HKDF derives from the user's; evaluations use the keys that they state",
        "the rotation of a key that many people share can be estimated from a few dozen known pairs",
    ),
    Deviation(
        "Section III-C-1",
        "the number of tries of an attacker is not limited",
        "tries are limited for each client and virtual face, and a log line without secrets records each",
        "d limits how rarely a random key is accepted, so tries must be limited",
    ),
    Deviation(
        "Alg. 1",
        "the whole portrait is virtual, including the background",
        "the same, or on request the virtual face is pasted into the photo",
        "group photos and documents need their surroundings",
    ),
)


def resolve(target: str) -> object:
    """Import the module, class or function of PaperRef.target."""
    module, _, name = target.partition(":")
    return reduce(getattr, name.split(".") if name else [], importlib.import_module(f"kfaar_core.{module}"))
