"""The methods to compare with: what each does to a photo, and what the pipeline makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from kfaar_core import image, methods, pipeline
from kfaar_core.assemble import Stages
from kfaar_core.errors import BadSetting, DataMissing, NoFaceFound
from kfaar_core.keys import UserKey
from kfaar_core.methods.folder import Pictures
from kfaar_core.methods.ivfg import RotatedIdentity
from kfaar_core.methods.ksame import NearestMean, gallery_styles
from kfaar_core.methods.random_face import RandomProjector
from kfaar_core.methods.vfgm import CoarseOfPhoto, VirtualPerson
from kfaar_core.pipeline import AnonymiseRequest, anonymise
from kfaar_core.presets import TINY
from kfaar_core.records import Photo
from kfaar_core.servers import AnonymisationServer, AuthenticationServer
from kfaar_core.stages.encode import GREY
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.stages.invert import Inverter
from kfaar_core.stages.linear import unit
from kfaar_core.stages.obscure import GROW, HullEditor

KEY = UserKey.parse("c3" * 32)
EDITS = ("blur", "pixelate", "mask")


def stages(name: str) -> Stages:
    return pipeline.load(methods.with_method(TINY, name), "cpu")


class Plain:
    """M that changes nothing; its mean style is zero."""

    w_mean = torch.zeros(512)

    def map(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def render(self, w_plus: torch.Tensor, side: int = 512) -> torch.Tensor:
        raise AssertionError("P renders nothing")


# ---- edits


def inside(loaded: Stages, photo: Photo) -> np.ndarray:
    points = loaded.locator.locate(photo).landmarks[:, :2]
    return image.hull_mask(points, photo.pixels.shape[1::-1], GROW) > 0


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_the_face_alone_whatever_the_key(name, photo):
    loaded = stages(name)
    found = anonymise(loaded, AnonymiseRequest(photo=photo, key=KEY, mode="paste"))
    face = inside(loaded, photo)
    assert found.picture.shape == photo.pixels.shape and 0.1 < face.mean() < 0.9
    np.testing.assert_array_equal(found.picture[~face], photo.pixels[~face])
    assert (found.picture != photo.pixels).any(axis=2)[face].mean() > 0.5
    other = anonymise(loaded, AnonymiseRequest(photo=photo, key=KEY.flip([0]), mode="paste"))
    np.testing.assert_array_equal(found.picture, other.picture)
    again = image.warp(found.picture, found.crop.to_photo, found.portrait.shape[1::-1])
    np.testing.assert_array_equal(found.portrait, again)
    assert found.latent is None and found.reading is None and loaded.method.keyed is False


def test_where_the_face_of_an_edit_is_stays_known(photo):
    loaded = stages("mask")
    found = anonymise(loaded, AnonymiseRequest(photo=photo, key=KEY))
    back = image.apply(found.crop.to_photo, found.landmarks[:, :2])
    np.testing.assert_allclose(back, loaded.locator.locate(photo).landmarks[:, :2], atol=1e-6)


def test_mask_leaves_one_grey_and_pixelate_few_colours(photo):
    face = inside(stages("mask"), photo)
    masked = anonymise(stages("mask"), AnonymiseRequest(photo=photo, key=KEY, mode="paste")).picture
    assert (masked[face] == GREY).all()
    for blocks in (2, 4):
        loaded = stages(f"pixelate:{blocks}")
        squares = anonymise(loaded, AnonymiseRequest(photo=photo, key=KEY, mode="paste")).picture[face]
        assert blocks <= len(np.unique(squares, axis=0)) <= 4 * blocks**2  # the hull is higher than wide, and cut
    assert methods.get("pixelate:4").name == "pixelate-4"


def test_blur_is_a_gaussian_of_the_stated_width(photo):
    loaded = stages("blur:0.3")
    located = loaded.locator.locate(photo)
    sigma = 0.3 * float(np.ptp(located.landmarks[:, 0]))
    expected = gaussian_filter(photo.pixels.astype(float), (sigma, sigma, 0), mode="nearest")
    found = anonymise(loaded, AnonymiseRequest(photo=photo, key=KEY, mode="paste")).picture
    face = inside(loaded, photo)
    assert np.abs(found[face] - expected[face]).mean() < 3  # Pillow approximates it by boxes
    assert np.abs(photo.pixels[face] - expected[face]).mean() > 10


def test_a_filter_sees_a_window_and_changes_the_hull_alone():
    seen = []

    def change(pixels: np.ndarray, across: float) -> np.ndarray:
        seen.append((pixels.shape, across))
        return np.zeros_like(pixels)

    angle = np.linspace(0, 2 * np.pi, 40)
    points = np.stack([500 + 20 * np.cos(angle), 300 + 25 * np.sin(angle), 0 * angle], axis=1)
    located = replace(stages("mask").locator.locate(wide()), landmarks=points)
    photo = Photo(np.full((600, 900, 3), 200, np.uint8))
    edited = HullEditor(change)(photo, located, KEY)
    (shape, across), *_ = seen
    assert across == pytest.approx(40, abs=0.2) and max(shape) < 160
    assert (edited == 0).all(axis=2).sum() == pytest.approx(np.pi * 20 * 25 * GROW**2, rel=0.05)


def wide() -> Photo:
    y, x = np.mgrid[:90, :130] / 20
    return Photo((127 + 120 * np.stack([np.sin(x), np.cos(y), np.sin(x - y)], axis=-1)).astype(np.uint8))


@pytest.mark.parametrize("name", [*EDITS, "random_face", "ksame", "ivfg", "vfgm"])
def test_who_cannot_be_read_is_told_so(name, photo):
    loaded = stages(name)
    assert loaded.kvfa_threshold > 0 and not loaded.method.readable
    with pytest.raises(BadSetting, match=r"nobody can be read back.*hashed"):
        AuthenticationServer(loaded).authenticate(photo, photo, KEY)


# ---- generated


@pytest.mark.parametrize("name", ["random_face", "ksame", "ivfg", "vfgm"])
def test_a_generated_face_comes_again_and_keeps_what_it_says_of_keys(name, photo):
    loaded = stages(name)
    server = AnonymisationServer(loaded)
    first, again, other = (
        server.anonymise(AnonymiseRequest(photo=photo, key=key)) for key in (KEY, KEY, KEY.flip([3]))
    )
    np.testing.assert_array_equal(first.portrait, again.portrait)
    assert np.array_equal(first.portrait, other.portrait) is not loaded.method.keyed
    assert first.latent is not None and first.portrait.shape == (32, 32, 3) and first.landmarks is None


def test_without_posture_correction_the_face_stays_as_it_was_drawn(photo):
    found = anonymise(stages("ivfg"), AnonymiseRequest(photo=photo, key=KEY))
    latent = torch.from_numpy(found.latent)
    np.testing.assert_array_equal(latent[0], latent[2])  # a correction moves the layers apart
    corrected = anonymise(stages("random_face"), AnonymiseRequest(photo=photo, key=KEY))
    assert not np.array_equal(corrected.latent[0], corrected.latent[2])


def test_random_faces_are_new_for_every_photo_and_key(rng):
    draw = RandomProjector(Plain())
    a, b = rng.standard_normal((2, 12)).astype(np.float32)
    faces = [draw(f, k).latent[0].numpy() / 0.7 for f, k in ((a, KEY), (b, KEY), (a, KEY.flip([0])), (a, KEY))]
    np.testing.assert_array_equal(faces[0], faces[3])
    assert all(abs(np.corrcoef(faces[0], other)[0, 1]) < 0.2 for other in faces[1:3])  # 5 standard errors
    assert np.std(faces) == pytest.approx(1, abs=0.1)


def test_ivfg_keeps_how_alike_two_photos_are_under_a_key_and_nothing_between_keys(rng):
    projector = RotatedIdentity(IdentityMap({"identity.mean": torch.zeros(8), "identity.map": torch.eye(8)}), Plain())
    people = unit(rng.standard_normal((4, 8)))
    z = np.stack([projector(u, KEY).latent[1].numpy() for u in people]) / 0.7
    np.testing.assert_allclose(z @ z.T / 512, people @ people.T, atol=1e-5)
    other = projector(people[0], KEY.flip([1])).latent[1].numpy() / 0.7
    assert abs(unit(z[0]) @ unit(other)) < 0.22


def test_ksame_is_the_mean_of_the_nearest(rng):
    embeddings = torch.from_numpy(unit(rng.standard_normal((6, 5))))
    embeddings = embeddings - embeddings.mean(dim=0)
    state = {"embeddings": embeddings, "numbers": torch.tensor([0, 1, 2, 4, 5, 7])}
    styles = gallery_styles(Plain(), 8)
    alone = NearestMean(state, Plain(), 1)
    for row, number in enumerate(state["numbers"]):
        torch.testing.assert_close(alone(embeddings[row].numpy(), KEY).latent[1], styles[number])
    probe = embeddings[2].numpy() + 0.4 * embeddings[4].numpy()
    three = NearestMean(state, Plain(), 3)(probe, KEY).latent[0]
    cosines = torch.nn.functional.cosine_similarity(embeddings, torch.from_numpy(probe)[None])
    nearest = state["numbers"][cosines.topk(3).indices]
    torch.testing.assert_close(three, torch.stack([styles[int(number)] for number in nearest]).mean(dim=0))
    everyone = NearestMean(state, Plain(), 6)
    torch.testing.assert_close(everyone(probe, KEY).latent, everyone(-probe, KEY.flip([0])).latent)  # k = all: nobody


def test_vfgm_mixes_the_coarse_styles_of_the_photo_with_a_person_of_the_key(photo):
    located = stages("vfgm").locator.locate(photo)
    virtual = VirtualPerson(Plain())(np.zeros(3), KEY).latent
    mixed = CoarseOfPhoto(lambda *_: torch.full((3, 512), 7.0))(virtual, photo, located)
    assert (mixed[0] == 7).all() and torch.equal(mixed[1:], virtual[1:])


def test_an_inversion_finds_what_was_drawn():
    """By a generator that shows the first numbers of w as an 8 x 8 picture."""
    loaded = stages("vfgm")

    def draw(w_plus: torch.Tensor, side: int) -> torch.Tensor:
        small = torch.tanh(w_plus[:, 0, :192]).reshape(-1, 3, 8, 8)
        return torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear", align_corners=False)

    wanted = torch.randn(1, 1, 512, generator=torch.Generator().manual_seed(3))
    photo = Photo(image.to_uint8(draw(wanted, 64))[0])
    located = loaded.locator.locate(photo)
    whole = replace(located.crop, to_photo=np.array([[2.0, 0, 0], [0, 2, 0]]))  # the 32 px frame is all of the photo
    mean = 0.1 * torch.randn(512, generator=torch.Generator().manual_seed(4))  # a grey picture has no embedding here
    found = Inverter(draw, loaded.encoder, mean)(photo, replace(located, crop=whole))
    error = (draw(found[None, :1], 64) - draw(wanted, 64)).abs().mean()
    assert found.shape == (3, 512) and error < 0.2 * draw(wanted, 64).abs().mean()


# ---- pictures of other tools


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A tool's output: names as tools give them, below the person's folder and flat."""
    for name in ("ann/one.png", "ann/two_anonymized.jpg", "bob/one.png", "flat.webp", "ann/one_more.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (60, 70), (len(name), 0, 0)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_pictures_are_paired_by_name(output):
    pictures = Pictures(output)
    pairs = {"ann/one.jpg": "ann/one.png", "ann/two.jpg": "ann/two_anonymized.jpg", "bob/one.jpg": "bob/one.png"}
    pairs |= {"ann/flat.jpg": "flat.webp", "flat.png": "flat.webp", "x/ann/one.png": None, "ann/on.jpg": None}
    for photo, wanted in pairs.items():
        assert pictures.find(photo) == (output / wanted if wanted else None), photo
    (output / "empty").mkdir()
    with pytest.raises(DataMissing, match="No pictures"):
        Pictures(output / "empty")


@pytest.mark.parametrize("factor", [1, 2])
def test_the_photo_itself_as_another_tools_picture(tmp_path, photo, factor):
    """A tool that changes nothing, at the photo's size and larger: its crop, and not anonymous."""
    size = (photo.pixels.shape[1] * factor, photo.pixels.shape[0] * factor)
    Image.fromarray(photo.pixels).resize(size).save(tmp_path / "one.png")
    loaded = stages(f"folder:{tmp_path}")
    found = anonymise(loaded, AnonymiseRequest(photo=replace(photo, name="ann/one.jpg"), key=KEY))
    assert np.abs(found.portrait.astype(int) - found.crop.picture).mean() < 2 * factor
    assert found.judge_cosine > 0.99 and not found.anonymous and loaded.method.name == f"folder-{tmp_path.name}"
    with pytest.raises(NoFaceFound, match="without a picture"):
        anonymise(loaded, AnonymiseRequest(photo=replace(photo, name="ann/two.jpg"), key=KEY))


def test_other_pictures_are_other_content(tmp_path, photo):
    Image.fromarray(photo.pixels).save(tmp_path / "one.png")
    before = stages(f"folder:{tmp_path}").content
    Image.fromarray(photo.pixels[::-1]).save(tmp_path / "one.png")
    assert stages(f"folder:{tmp_path}").content != before != ""
