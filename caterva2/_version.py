"""The version, read by the build and by `caterva2.__version__`."""

__version__ = "0.1.0"
