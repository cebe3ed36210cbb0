"""Thin handlers of the subscriber's endpoints, by noun."""
