class FilterModule:
    def filters(self):
        return {"own_filter": str}
