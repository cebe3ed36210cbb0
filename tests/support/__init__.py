"""Fixtures and builders that several tests share; imported as ``tests.support``."""
