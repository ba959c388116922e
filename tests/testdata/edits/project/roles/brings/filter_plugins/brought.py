class FilterModule:
    def filters(self):
        return {"brought": lambda _value: "w100"}
