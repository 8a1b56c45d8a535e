"""Installed packages that add to what recipes name, made for a test."""

from __future__ import annotations

from pathlib import Path


def package(site: Path, name: str, points: str, code: str = "", version: str = "1.0") -> str:
    """Lay a package out as an installer does, with these entry points and one module; returns the module's name."""
    module = name.replace("-", "_")
    info = site / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    return module
