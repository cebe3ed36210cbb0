"""Tornado glue shared by the services. No knowledge of datasets."""
