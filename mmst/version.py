"""The version, in one place: of the package, the images and the chart."""

__version__ = "0.1.0"
