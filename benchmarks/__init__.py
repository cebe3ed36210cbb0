"""What Caterva2 costs, measured against peers in the same run: ``python -m benchmarks``."""
