class FilterModule:
    def filters(self):
        return {"configured": lambda _value: "w100"}
