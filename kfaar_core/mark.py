"""The mark of a synthetic picture: IPTC's digital source type in XMP, and two words. Nothing of input, key or user.

https://cv.iptc.org/newscodes/digitalsourcetype/ lists the types. Imports stay light: the command line looks for
the mark before any network is loaded.
"""

from __future__ import annotations

from pathlib import Path

WORDS = {"Software": "kfaar", "Comment": "synthetic face"}  # text chunks of a PNG; JPEG has the second one
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}  # that are written, by the ending of a name

_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SYNTHETIC = f"{_TYPES}trainedAlgorithmicMedia"
COMPOSITE = f"{_TYPES}compositeWithTrainedAlgorithmicMedia"  # a virtual face inside a photo

_PACKET = (
    '<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def packet(pasted: bool) -> str:
    """The XMP packet of a virtual portrait, or of a photo into which a face was pasted."""
    return _PACKET.format(COMPOSITE if pasted else SYNTHETIC)


def marked(path: Path) -> bool:
    """Whether the file is a picture that this program wrote. A PNG may have the words alone, as it once had."""
    from PIL import Image

    try:
        with Image.open(path, formats=sorted(set(FORMATS.values()))) as picture:
            xmp = picture.info.get("xmp", b"")
            ours = (packet(pasted).encode() for pasted in (False, True))
            return WORDS.items() <= picture.info.items() or xmp in ours
    except Exception:  # another format, or a damaged file
        return False
