"""Write docs/reference/certificates.md from the certificates of ``nox -s conform``.

    python tools/certificates.py .benchmarks/conform

The name of a file is the heading. A certificate whose hash does not fit its content is refused.
"""

import sys
import textwrap
from pathlib import Path
from typing import Any

from isograd.testing.conformance import group_names, read_certificate

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "certificates.md"

HEAD = """# Certificates

Written by `tools/certificates.py` from what `nox -s conform` wrote: how the conformance kit judged
our own backends, and those of [How do I write a backend?](../how-to/write_a_backend.md) What one
says is of one version on one machine; make your own where it counts:

```console
$ isograd conform numba --json numba.json
```

Numbers are cells: a group's demand on one operation in one dtype, which is one comparison or many.
"""


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return the page for certificates by backend."""
    groups = {name: content["groups"] for name, content in found.items()}
    head = " | ".join(found)
    rows = [f"| group | {head} |", f"|---|{'---:|' * len(found)}"]
    for group in group_names():
        counts = [_count(groups[name].get(group)) for name in found]
        rows.append(f"| {group} | {' | '.join(counts)} |")
    totals = [_count(_total(groups[name])) for name in found]
    rows.append(f"| **all** | {' | '.join(totals)} |")
    return "\n".join([HEAD, *rows, "", *(_facts(name, found[name]) for name in found)])


def _count(group: dict[str, Any] | None) -> str:
    if group is None or not group["passed"] + group["failed"]:
        return "-"
    failed = f", {group['failed']} FAIL" if group["failed"] else ""
    return f"{group['passed']:,}{failed}"


def _total(groups: dict[str, Any]) -> dict[str, int]:
    return {key: sum(g[key] for g in groups.values()) for key in ("passed", "failed")}


def _facts(name: str, content: dict[str, Any]) -> str:
    verdict = "conforms" if content["conforms"] else "does not conform"
    if not content["complete"]:
        verdict = "was asked a part, or stopped before the end, so this is no certificate"
    comparisons = sum(group["comparisons"] for group in content["groups"].values())
    facts = "; ".join(f"{key.removeprefix('backend: ')} {value}" for key, value in _shown(content))
    text = f"**{name}** {verdict}: {comparisons:,} comparisons; {facts}. Hash"
    return f"{textwrap.fill(text, 112)}\n`{content['sha256']}`.\n"


def _shown(content: dict[str, Any]) -> list[tuple[str, str]]:
    seen = {"backend", "protocol", "version"}
    return [(key, value) for key, value in sorted(content["facts"].items()) if key not in seen]


def main(folder: str) -> None:
    files = sorted(Path(folder).glob("*.json"))
    read = {f.stem: read_certificate(f.read_text("utf-8"), partial=True) for f in files}
    PAGE.write_text(page(read), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
