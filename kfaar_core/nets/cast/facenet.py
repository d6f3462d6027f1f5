"""FaceNet: encoder E of the paper, and R in training (Schroff et al., arXiv 1503.03832).

RGB face (N, 3, 160, 160) in [-1, 1] -> embedding (N, 512), unit length. The network is InceptionResnetV1 of
facenet-pytorch (Esler), trained on VGGFace2. Published as `20180402-114759-vggface2.pt` and in `py-feat/facenet`, both
with the classification head of its 8,631 people, which is left out here.
"""

from __future__ import annotations

from torch import Tensor, nn

from kfaar_core.nets.cast.published import State, load_strictly
from kfaar_core.torchvision_shim import prepare

SIDE = 160  # px
FEATURE = 512
HEAD = ("logits.weight", "logits.bias")
RANGE = 127.5 / 128  # it was trained on (level - 127.5) / 128


class FaceNet(nn.Module):
    """RGB faces (N, 3, 160, 160) in [-1, 1] -> embeddings (N, 512), unit length."""

    def __init__(self, net: nn.Module) -> None:
        """net: facenet-pytorch's InceptionResnetV1."""
        super().__init__()
        self.net = net

    @classmethod
    def from_published(cls, state: State) -> FaceNet:
        """Load the published tensors.

        Raises:
            BadWeights: names or shapes differ.
        """
        return cls(load_strictly(inception_resnet, state, without=HEAD)).eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x * RANGE)


def inception_resnet() -> nn.Module:
    """InceptionResnetV1 of facenet-pytorch with random weights and without a classification head."""
    prepare()
    from facenet_pytorch import InceptionResnetV1

    net: nn.Module = InceptionResnetV1()
    return net
