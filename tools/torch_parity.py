"""Compare names, arguments and defaults with torch's, and say of each difference why.

``python tools/torch_parity.py`` prints counts, and how many samples the tests compare;
``--write`` writes docs/reference/torch_parity.md. Needs torch.
"""

import argparse
import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "torch_parity.md"
VERSION = "2.13"  # of the torch that the page compares with

# A heading, torch's module, ours, and the pattern of the names to compare.
AREAS = (
    ("Layers and losses", "torch.nn", "isograd.nn", "[A-Z]*"),
    ("Functions", "torch.nn.functional", "isograd.nn.functional", "[a-z]*"),
    ("Optimizers", "torch.optim", "isograd.optim", "[A-Z]*"),
    ("Schedulers", "torch.optim.lr_scheduler", "isograd.optim.lr_scheduler", "[A-Z]*"),
    ("Averages", "torch.optim.swa_utils", "isograd.optim.swa_utils", "*"),
    ("Initialisation", "torch.nn.init", "isograd.nn.init", "[a-z]*"),
    ("Utilities", "torch.nn.utils", "isograd.nn.utils", "[a-z]*"),
    ("Sequences", "torch.nn.utils.rnn", "isograd.nn.utils.rnn", "[a-zP]*"),
)

# What torch's modules have from elsewhere in torch, or for their own use.
INTERNAL = (
    "*torch_function*",
    "assert_int_or_pair",
    "bind",
    "boolean_dispatch",
    "copy_method_params",
    "invert_permutation",
    "PackedSequence_",
)
# What `torch.nn` has beside its modules.
BESIDE = ("Buffer", "DataParallel", "Parameter", "UninitializedBuffer", "UninitializedParameter")

UNCHANGING = "tensors do not change; use the function without underscore"
INDICES = "the name of a half of another function; use that with `return_indices=True`"
LOW_PRECISION = "a product of low-precision matrices for CUDA"
OBSOLETE = "obsolete in torch, which warns"
ONE_PROCESS = "for several devices or processes; isograd uses one"

# Which names of torch's are not here, and why. A pattern with a dot is that of area and name.
MISSING = (
    ("Layers and losses.Container", OBSOLETE),
    ("Layers and losses.NLLLoss2d", f"{OBSOLETE}; `NLLLoss` takes images"),
    ("CrossMapLRN2d", "an older `LocalResponseNorm`; in torch 2.13 its sums keep channel 0"),
    ("DataParallel", ONE_PROCESS),
    ("SyncBatchNorm", ONE_PROCESS),
    ("LinearCrossEntropy*", "`CrossEntropyLoss` of `Linear` gives the same, with more memory"),
    ("linear_cross_entropy", "`cross_entropy(linear(...))` gives the same, with more memory"),
    (
        "Uninitialized*",
        "a lazy layer has no parameters until it was called; asking for them raises",
    ),
    ("*_with_indices", INDICES),
    ("Functions.*_", UNCHANGING),
    ("conv_tbc", "`conv1d` with its axes in another order"),
    ("native_channel_shuffle", "an implementation of `channel_shuffle`"),
    ("*grouped_mm", LOW_PRECISION),
    ("scaled_mm", LOW_PRECISION),
    ("multi_head_attention_forward", "use `MultiheadAttention`, whose parameters it would take"),
    ("Muon", "new in torch; not here yet"),
    ("SparseAdam", "for sparse gradients; gradients are dense here"),
    ("get_*_multi_avg_fn", "averages are updated together always; use the name without `multi`"),
    ("Initialisation.*", f"{OBSOLETE}; use the name with an underscore at its end"),
    ("clip_grad_norm", f"{OBSOLETE}; use `clip_grad_norm_`"),
    ("convert_conv*_weight_memory_format", "memory formats are not part of a tensor here"),
    ("skip_init", "make the layer as usual, and load its state"),
)

REDUCTION = f"{OBSOLETE}: use `reduction`"

# Which arguments differ, and why: patterns of name and argument, and the reason.
ARGUMENTS = (
    ("*", "size_average", REDUCTION),
    ("*", "reduce", REDUCTION),
    ("*", "_stacklevel", "internal"),
    ("Hardtanh", "m??_value", f"{OBSOLETE}: use `min_val` and `max_val`"),
    ("gumbel_softmax", "eps", f"{OBSOLETE}, without effect"),
    ("normalize", "out", "tensors do not change"),
    ("*oftm*", "dim", "must be given: torch's default is obsolete, and warns"),
    ("Parameter", "data", "must be given: without, torch makes a parameter without elements"),
    ("PackedSequence", "batch_sizes", "must be given"),
    ("sigmoid", "input", "the array API's function: by position only"),
    ("tanh", "input", "the array API's function: by position only"),
    ("*", "foreach", "accepted as one of `hints`; there is one implementation, a fused one"),
    ("*", "fused", "accepted as one of `hints`"),
    ("*", "capturable", "accepted as one of `hints`"),
    ("*", "differentiable", "`False` is accepted as one of `hints`; steps are not recorded"),
    ("AveragedModel", "multi_avg_fn", "averages are updated together always; use `avg_fn`"),
    ("*clip*", "foreach", "there is one implementation"),
)


def public(module: Any, pattern: str) -> dict[str, Any]:
    """Return classes and functions of a module's own, by name."""
    names = getattr(module, "__all__", None) or dir(module)
    if module.__name__ == "torch.nn":
        names = [*module.modules.__all__, *BESIDE]
    elif module.__name__ == "torch.nn.functional":
        names = [n for n in dir(module) if _is_function(module, n)]
    elif module.__name__.startswith("torch.nn.utils") or module.__name__ == "torch.nn.init":
        names = [n for n in dir(module) if _is_of(module, n)]
    found = {n: getattr(module, n) for n in sorted(names) if fnmatchcase(n, pattern)}
    return {
        name: thing
        for name, thing in found.items()
        if not (name.startswith("_") or any(fnmatchcase(name, p) for p in INTERNAL))
        and (inspect.isclass(thing) or inspect.isroutine(thing))
    }


def _is_of(module: Any, name: str) -> bool:
    own = getattr(getattr(module, name), "__module__", "") or ""
    return own.startswith(module.__name__) and not name.endswith(
        ("PackedSequence_", "invert_permutation")
    )


def _is_function(module: Any, name: str) -> bool:
    thing = getattr(module, name)
    own = getattr(thing, "__module__", "") or ""
    return inspect.isbuiltin(thing) or own in (module.__name__, "torch._jit_internal")


def parameters(thing: Any) -> list[tuple[str, Any]] | None:
    """Return names and defaults, from the docstring where there is no signature, or None."""
    try:
        found = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        match = re.match(r"\s*\w+\((.*?)\) ->", thing.__doc__ or "")
        if match is None:
            return None
        parts = [part.strip() for part in match[1].split(",") if part.strip() not in ("*", "/")]
        pairs = [part.partition("=") for part in parts]
        return [(name.strip(), _value(text.strip())) for name, _, text in pairs]
    if [p.name for p in found] == ["args", "kwargs"]:
        return None
    fixed = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [(p.name, p.default) for p in found if p.kind not in fixed]


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text or None


def same_default(ours: Any, theirs: Any) -> bool:
    """Tell whether two defaults mean the same."""
    if callable(ours) and callable(theirs) and not inspect.isclass(ours):
        return ours.__name__ == theirs.__name__
    return ours is theirs or ours == theirs or (ours is inspect.Parameter.empty and theirs is None)


def differences(ours: Any, theirs: Any) -> list[str]:
    """Return the names of torch's arguments that are not here, or have another default."""
    a, b = parameters(ours), parameters(theirs)
    if a is None or b is None:
        return []
    own = dict(a)
    strict = not inspect.isbuiltin(theirs)
    return [
        name
        for name, default in b
        if name not in own
        or (strict and own[name] is inspect.Parameter.empty is not default)
        or not same_default(own[name], default)
    ]


def _reason(rows: Any, *names: str) -> str:
    for *patterns, reason in rows:
        if all(fnmatchcase(n, p) for n, p in zip(names, patterns, strict=True)):
            return reason
    return ""


def missing(area: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield names that are not here, and why."""
    for name in names:
        rows = [
            (pattern if "." in pattern else f"{area}.{pattern}", reason)
            for pattern, reason in MISSING
        ]
        yield name, _reason(rows, f"{area}.{name}")


def compare() -> tuple[list[tuple[str, int, int]], str]:
    """Return for each area the numbers of torch's names and of those here; and the page."""
    counts: list[tuple[str, int, int]] = []
    absent: list[str] = []
    arguments: dict[tuple[str, str], list[str]] = {}
    more: list[str] = []
    for area, their_name, our_name, pattern in AREAS:
        theirs = public(importlib.import_module(their_name), pattern)
        ours = public(importlib.import_module(our_name), pattern)
        common = [name for name in theirs if name in ours]
        counts.append((area, len(theirs), len(common)))
        for name, why in missing(area, [name for name in theirs if name not in ours]):
            absent.append(f"| `{their_name.removeprefix('torch.')}.{name}` | {why} |")
        for name in common:
            for argument in differences(ours[name], theirs[name]):
                why = _reason(ARGUMENTS, name, argument)
                arguments.setdefault((argument, why), []).append(f"`{name}`")
        extra = [f"`{name}`" for name in ours if name not in theirs]
        if extra:
            more.append(f"| `{our_name.removeprefix('isograd.')}` | {', '.join(extra)} |")
    rows = [f"| {area} | {total} | {here} |" for area, total, here in counts]
    differing: list[str] = []
    for (argument, why), names in sorted(arguments.items()):
        which = ", ".join(names) if len(names) < 9 else f"{len(names)} names"
        differing.append(f"| `{argument}` | {which} | {why} |")
    unexplained = [row for row in [*absent, *differing] if row.endswith("|  |")]
    if unexplained:
        raise LookupError("\n".join(["say why, in tools/torch_parity.py:", *unexplained]))
    page = f"""# What of torch is here

Written by `tools/torch_parity.py` from torch {VERSION}, and checked by a test. Names are those of
`torch.nn`, `torch.optim` and their modules, without what torch itself imports there.

| | in torch | here |
|---|---|---|
{chr(10).join(rows)}

Arguments and defaults are the same but for those below. Arguments that come after one which is not
here are given by keyword.

## Names that are not here

| | why |
|---|---|
{chr(10).join(absent)}

## Arguments that differ

| argument | of | here |
|---|---|---|
{chr(10).join(differing)}

## Names that torch does not have there

| | |
|---|---|
{chr(10).join(more)}
"""
    return counts, page


def samples() -> Counter[str]:
    """Return how many comparisons with torch each test file has."""
    command = [sys.executable, "-m", "pytest", "-m", "oracle", "--collect-only", "-q", "tests"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return Counter(line.partition("::")[0] for line in out.splitlines() if "::" in line)


def main() -> None:
    """Print the counts, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    options = parser.parse_args()
    counts, page = compare()
    for area, total, here in counts:
        print(f"{here:4} of {total:4}  {area}")
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
        return
    found = samples()
    print(f"\n{sum(found.values()):5} samples compared with torch:")
    for path, count in sorted(found.items()):
        print(f"{count:5}  {path}")


if __name__ == "__main__":
    main()
