"""A champion too large to be copied into the registry: a file that says where its checkpoint is.

    {"source": "s3://bucket/mmst/stages/train/3fa9…", "ref": "stages/train/3fa9…", "checkpoint": "sha256:…"}

Anyone who can read the run's store (the bucket, or the folder at the same path) gets the files, verified against
the checkpoint's manifest. See `mmst.pyfunc.folder`.
"""

from __future__ import annotations

from dataclasses import dataclass

FILE = "checkpoint.json"
"""The name of the file among a version's artifacts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """`source` is the manifest's address (`ref` below the store's), `checkpoint` the manifest's digest."""

    source: str
    ref: str
    checkpoint: str

    @property
    def store(self) -> str:
        """The store's address."""
        return self.source.removesuffix(f"/{self.ref}")
