"""``python -m anychip``."""

import sys

from anychip.products.cli import main

sys.exit(main())
