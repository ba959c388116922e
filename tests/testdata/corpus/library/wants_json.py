#!/usr/bin/env python3
# ruff: noqa: T201, PTH123
# WANT_JSON
"""A module of the oldest kind: its arguments are in a file."""

import json
import sys

with open(sys.argv[1]) as file:
    print(json.dumps({"changed": False, "word": json.load(file)["word"]}))
