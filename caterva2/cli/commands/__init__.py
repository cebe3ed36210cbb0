"""The commands of cat2cli, one module each."""
