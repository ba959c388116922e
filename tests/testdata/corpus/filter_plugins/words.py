"""A filter beside the playbook."""


class FilterModule:
    def filters(self):
        return {"reversed_words": lambda text: " ".join(reversed(text.split()))}
