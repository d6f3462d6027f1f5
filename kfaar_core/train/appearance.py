"""The appearance model that is F's first hidden layer, in closed form (Cootes, Edwards and Taylor, 2001).

Principal components of shape-free textures and of landmark shapes. Each is divided by the square root of its own sd
times the mean sd: half-way to whitening, which raises fine detail without raising noise.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from kfaar_core.nets.reader_net import ReaderNet, coarse
from kfaar_core.stages.face_view import FaceView


def to_tensor(textures: np.ndarray) -> Tensor:
    """(N, 96, 80, 3) uint8 -> (N, 3, 96, 80) in [-1, 1]."""
    return torch.from_numpy(textures).permute(0, 3, 1, 2).float() / 127.5 - 1


def coordinates(net: ReaderNet, faces: FaceView, part: int = 1024) -> Tensor:
    """(N, 400): the components of each face under a network's appearance model."""
    parts = [faces[i : i + part] for i in range(0, len(faces.shape), part)]
    shapes = [torch.from_numpy(p.shape.astype(np.float32)) for p in parts]
    return torch.cat([net.appearance(to_tensor(p.texture), shape) for p, shape in zip(parts, shapes, strict=True)])


@torch.inference_mode()
def predict(net: ReaderNet, faces: FaceView) -> np.ndarray:
    """(N, outputs) float32 outputs of F for N faces; puts it in evaluation mode."""
    outputs: np.ndarray = net.eval().of_appearance(coordinates(net, faces)).numpy()
    return outputs


def fit_appearance(net: ReaderNet, faces: FaceView, mean_shape: np.ndarray) -> None:
    """Set the buffers of an untrained F in place.

    Args:
        faces: more than the network has components.
        mean_shape: (478, 2) px, the mean face to which the textures were warped.
    """
    parts = range(0, len(faces.texture), 1024)
    levels = torch.cat([coarse(to_tensor(faces.texture[i : i + 1024])).half() for i in parts])
    offsets = torch.from_numpy((faces.shape - mean_shape).astype(np.float32)).flatten(1)
    net.mean_shape.copy_(torch.from_numpy(mean_shape))
    net.mean_texture.copy_(levels.float().mean(dim=0))
    net.texture_axes.copy_(principal(levels, net.mean_texture, net.texture_axes.shape[1]))
    net.shape_axes.copy_(principal(offsets, torch.zeros(offsets.shape[1]), net.shape_axes.shape[1]))


def principal(x: Tensor, mean: Tensor, count: int) -> Tensor:
    """(p, count) leading principal components of x (N, p), scaled as the module says."""
    covariance = torch.zeros(x.shape[1], x.shape[1])
    for part in x.split(4096):
        centred = part.float() - mean
        covariance += centred.T @ centred / len(x)
    size = len(covariance)
    values, vectors = scipy.linalg.eigh(covariance.double().numpy(), subset_by_index=[size - count, size - 1])
    sd = np.sqrt(np.maximum(values[::-1], 1e-12))
    axes = vectors[:, ::-1] / np.sqrt(sd * np.sqrt(np.mean(sd**2)))
    return torch.from_numpy(axes.astype(np.float32))
