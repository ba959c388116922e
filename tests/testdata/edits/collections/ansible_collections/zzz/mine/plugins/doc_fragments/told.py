class ModuleDocFragment:
    DOCUMENTATION = """
options:
  word:
    description: a word
    type: str
    default: w100
"""
