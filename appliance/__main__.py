"""``python -m appliance``: the same as the command ``sockerless``."""

import sys

from appliance.cli import main

sys.exit(main())
