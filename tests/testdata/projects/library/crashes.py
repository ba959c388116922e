#!/usr/bin/python
"""A module that dies without an answer."""

import sys

sys.stderr.write("the module's last words\n")
sys.exit(3)
