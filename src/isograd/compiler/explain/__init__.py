"""Reports about compiled functions: what was traced, what runs, what it costs."""

from isograd.compiler.explain.report import Explanation, check_arguments, explain

__all__ = ["Explanation", "check_arguments", "explain"]
