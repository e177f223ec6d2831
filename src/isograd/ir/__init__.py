"""The vocabulary of programs: abstract values and primitives."""

from isograd.ir.primitive import Aval, Control, Primitive, Rule

__all__ = ["Aval", "Control", "Primitive", "Rule"]
