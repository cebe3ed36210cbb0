"""Byte ranges of a body (RFC 9110, section 14), as pure functions."""
