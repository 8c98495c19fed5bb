"""What a file is, by its first bytes and else by the ending of its name."""

import mimetypes
from typing import Final
from urllib.parse import urlsplit

UNKNOWN: Final = "application/octet-stream"
_STARTS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"%PDF-", "application/pdf"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_FTYP: Final = {
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
"""Brands of the ISO base media format; every other one is video/mp4."""
_AUDIO_FORMATS: Final = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/webm": "webm",
    "video/webm": "webm",
    "video/mp4": "mp4",
}


def type_of(content: bytes, uri: str) -> str:
    """The media type of a file, such as image/png."""
    return _sniffed(content) or _by_name(uri) or UNKNOWN


def audio_format(content: bytes, uri: str) -> str | None:
    """The `format` of an OpenAI `input_audio`, such as mp3; None for what is no audio."""
    return _AUDIO_FORMATS.get(type_of(content, uri))


def _sniffed(content: bytes) -> str | None:
    for start, kind in _STARTS:
        # `BM` is also how a text may begin: the size of the file stands behind it.
        if content.startswith(start) and (
            start != b"BM" or content[2:6] == len(content).to_bytes(4, "little")
        ):
            return kind
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12])
    if content[4:8] == b"ftyp":
        return _FTYP.get(content[8:12], "video/mp4")
    if content[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in content[:64] else "video/x-matroska"
    if len(content) > 2 and content[0] == 0xFF:
        if content[1] & 0xF6 == 0xF0:
            return "audio/aac"
        if content[1] & 0xE0 == 0xE0 and content[1] & 0x06:
            return "audio/mpeg"
    return None


def _by_name(uri: str) -> str | None:
    name = uri if uri.startswith("pvc://") else urlsplit(uri).path
    kind, packed = mimetypes.guess_type(name.rpartition("/")[2])
    return None if packed else kind
