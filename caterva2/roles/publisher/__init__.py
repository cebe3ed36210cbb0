"""The publisher: one root of datasets, served as stored."""
