class FilterModule:
    def filters(self):
        return {f"is_w{number}": lambda _value, number=number: f"w{number}" for number in range(100, 2000)}
