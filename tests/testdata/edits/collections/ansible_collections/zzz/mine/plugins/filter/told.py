class FilterModule:
    def filters(self):
        return {"told": lambda _value: "w100"}
