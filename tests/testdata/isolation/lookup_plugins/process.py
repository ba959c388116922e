"""Tells what the process of the play has loaded, and where it looks for more."""

import sys

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        told = {"modules": sorted({name.partition(".")[0] for name in sys.modules}), "path": list(sys.path)}
        return [told[term] for term in terms]
