from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: told
short_description: tells a word, and that of its fragment
extends_documentation_fragment: [zzz.mine.told]
"""


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        return ["w100", self.get_option("word")]
