"""A lookup that leaves a default in a library, as clients of APIs do."""

import json

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        before = getattr(json, "default_server", "none")
        json.default_server = terms[0]
        return [before]
