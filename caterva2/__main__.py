"""``python -m caterva2`` is ``cat2cli``."""

import sys

from caterva2.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
