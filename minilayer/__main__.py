"""`python -m minilayer` is `minilayer`."""
import sys

from minilayer.cli import main

sys.exit(main())
