"""``python -m graphlab`` is ``graphlab``."""

import sys

from graphlab.cli.main import main

sys.exit(main())
