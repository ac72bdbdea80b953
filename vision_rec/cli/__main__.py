"""`python -m vision_rec.cli`, where the script `vision-rec` is not on the path."""

import sys

from vision_rec.cli import main

sys.exit(main())
