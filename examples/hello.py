"""Run it:  python examples/hello.py       or on the daemon:  quince submit examples/hello.py --wait"""

from quince import WorkChain, run


class Hello(WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("name", valid_type=str, default="world")
        spec.output("greeting", valid_type=str)
        spec.outline(cls.greet)

    def greet(self):
        self.out("greeting", f"Hello, {self.inputs.name}!")


if __name__ == "__main__":
    print(run(Hello)["greeting"])
