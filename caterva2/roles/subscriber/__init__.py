"""The subscriber: one place to read every root, keeping what was touched."""
