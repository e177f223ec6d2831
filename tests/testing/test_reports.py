"""Reports: the heat map in a browser, JUnit, what got worse, and gradient certificates."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.testing import Cell, Report, TargetError
from isograd.testing.against import ReportError, read_report, worse
from isograd.testing.certify import certify
from isograd.testing.conformance import read_certificate
from isograd.testing.heatmap import html_of
from isograd.testing.junit import junit_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

HOSTILE = 'a "sample" </script><script>document.title = "taken"</script> & \x00\x1b'
CELLS = (
    Cell("exp", "forward", "numpy", "float32", "pass", 0.2, "(float32[3])", "", 5),
    Cell("exp", "forward", "numba", "float32", "fail", 7.5, HOSTILE, "2 of 3 elements", 5),
    Cell("exp", "layouts", "numba", "float32", "fail", float("inf"), "s", "TypeError: <x>", 5),
    Cell("expm1", "forward", "numpy", "float64", "known", 1.5, "s", "accepted", 5),
    Cell("sum", "forward", "numpy", "float64", "pass", 0.0, "s", "", 5),
)
REPORT = Report(CELLS, 1.5)

DRIVE = """
(async () => {
  const log = [];
  const text = id => document.getElementById(id).innerText;
  const note = () => log.push(text("rows").trim());
  const set = async (id, value) => {
    const field = document.getElementById(id);
    field.value = value;
    field.dispatchEvent(new Event("input"));
    await new Promise(done => setTimeout(done, 120));
  };
  const press = key => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true}));
  note();
  log.push(text("detail"));
  document.querySelector("li button").click();
  log.push(text("detail"));
  press("Escape");
  log.push(text("detail"));
  document.querySelector("td button.fail").click();
  log.push(text("detail"));
  await set("op", "expm"); note();
  await set("op", ""); await set("backend", "numba"); note();
  await set("backend", ""); await set("verdict", "pass"); note();
  await set("verdict", "fail"); await set("op", "nothing"); note();
  await set("verdict", ""); await set("op", "");
  document.querySelector("td [tabindex='0']").focus();
  for (const key of ["ArrowDown", "ArrowUp", "ArrowRight", "ArrowRight"]) press(key);
  log.push(document.activeElement.title);
  log.push(document.querySelectorAll("td [tabindex='0']").length);
  log.push(document.title);
  const made = document.createElement("pre");
  made.id = "log";
  made.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(log))));
  document.body.append(made);
})();
"""


def driven(page: str, script: str, folder: Path) -> Any:
    """Return what a script put into the element `log` of a page, in headless Chromium."""
    file = folder / "page.html"
    file.write_text(page.replace("</body>", f"<script>{script}</script></body>"))
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder / 'profile'}",
            "--virtual-time-budget=4000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = done.stdout.partition('<pre id="log">')[2].partition("</pre>")[0]
    assert found, done.stderr[-2000:]
    return json.loads(base64.b64decode(found))


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")
def test_the_heat_map_works_in_a_browser(tmp_path: Path) -> None:
    found = driven(html_of(REPORT, {"isograd": "1"}), DRIVE, tmp_path)
    all_rows, overview, linked, closed, detail, named, numba, passed, none, at, stops, title = found
    assert [row.split("\t")[0] for row in all_rows.splitlines()] == ["exp", "expm1", "sum"]
    assert "FAIL" in all_rows
    assert "known" in all_rows
    assert overview.startswith("What fails: 2")
    assert "exp, layouts, numba, float32" in overview
    assert linked.startswith("exp, forward")
    assert closed == overview
    assert detail.startswith("exp, forward")
    # The worst comes first, with its sample and how to run it again.
    assert detail.index("numba, float32: fail") < detail.index("numpy, float32: pass")
    assert "</script>" in detail
    assert "isograd check --op exp --check forward --backend numba" in detail
    assert named.split("\t")[0] == "expm1"
    assert [row.split("\t")[0] for row in numba.splitlines()] == ["exp"]
    assert "FAIL" not in passed
    assert none == ""
    # One stop for the Tab key, and arrow keys from there.
    assert (at, stops) == ("exp, layouts: fail", 1)
    assert title.startswith("isograd check: 2 cells FAIL")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")
def test_the_heat_map_of_a_model_says_how_to_go_on(tmp_path: Path) -> None:
    cell = Cell("0.weight", "gradient", "a b", "float32", "fail", 3.0, "element [0]", "wrong", 1)
    script = """
      document.querySelector("td button.fail").click();
      const log = ["#head", "code"].map(what => document.querySelector(what).innerText);
      document.body.append(Object.assign(document.createElement("pre"),
        {id: "log", textContent: btoa(JSON.stringify(log))}));
    """
    head, command = driven(html_of(Report((cell,)), {}, model="my:build"), script, tmp_path)
    assert "a b float32" in head
    assert command == "isograd diff numpy 'a b' --model my:build --input FILE"


def test_the_heat_map_holds_each_text_once() -> None:
    many = Report(CELLS * 1000)
    assert len(html_of(many, {})) < len(html_of(REPORT, {})) + 50 * len(many.cells)


def test_the_heat_map_needs_nothing_from_outside() -> None:
    page = html_of(REPORT, {"numba": "<1>"})
    assert "http" not in page.replace("http-equiv", "")
    assert "</script><script>document" not in page
    assert "default-src 'none'" in page
    assert "numba &lt;1&gt;" in page
    assert "1 cell FAILS" in html_of(Report(CELLS[:2]), {})
    assert "every cell is within" in html_of(Report(CELLS[:1]), {})


def test_junit_is_xml_with_every_failure() -> None:
    root = ET.fromstring(junit_of(REPORT))
    assert (root.get("tests"), root.get("failures")) == ("5", "2")
    assert [suite.get("name") for suite in root] == ["forward", "layouts"]
    failures = root.findall(".//failure")
    assert failures[0].get("message") == "2 of 3 elements"
    assert HOSTILE[:20] in str(failures[0].text)


def rows(**changes: Any) -> dict[str, Any]:
    row = {
        "op": "exp",
        "check": "forward",
        "backend": "numpy",
        "dtype": "float32",
        "verdict": "pass",
        "error": 0.3,
    }
    return {"cells": [{**row, **changes}]}


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (rows(), []),
        (rows(error=0.1), []),
        (rows(error=0.59), []),
        (rows(error=0.7), ["the error grew from 0.3 to 0.7 of its bound"]),
        (rows(error="nan"), ["the error grew from 0.3 to inf of its bound"]),
        (rows(verdict="fail", error=3.0, message="wrong"), ["fails now: wrong"]),
        ({"cells": []}, ["was checked, and is not any more"]),
    ],
)
def test_what_got_worse(new: dict[str, Any], said: list[str]) -> None:
    assert worse(rows(), new) == [f"exp forward numpy float32: {text}" for text in said]
    assert worse(new, rows()) == [] or new["cells"]
    assert worse(rows(verdict="fail", error=9.0), rows(verdict="fail", error=9.0)) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": 3}', '{"cells": [3]}', "[" * 10000])
def test_what_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text(text)
    with pytest.raises(ReportError, match="pass what"):
        read_report(file)
    with pytest.raises(ReportError):
        read_report(tmp_path / "missing.json")


def build() -> Any:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return model, lambda m, x, y: nn.functional.cross_entropy(m(x), y)


X = np.random.default_rng(0).normal(size=(5, 3))
Y = np.array([0, 1, 1, 0, 1])


def test_a_gradient_certificate_says_how_good_gradients_are(plant: Any) -> None:
    found = certify(build, X, Y)
    assert found["passed"]
    assert read_certificate(json.dumps(found)) == certify(build, X, Y)
    names = {cell["name"] for cell in found["cells"] if cell["kind"] == "gradient"}
    assert {"0.weight", "0.bias", "2.weight", "2.bias"} <= names
    assert 0 < float(found["gradcheck"]["detection_limit"]) < 1e-3
    assert found["facts"]["backend numpy"]
    wrong = plant("tanh_grad", lambda right: lambda g, out: right(g, out) * np.float32(1.001))
    limits = {row["name"]: row for row in found["gradcheck"]["parameters"]}
    assert limits["argument 0 0.weight"]["seen"] == 1.0
    assert 0 < limits["argument 0 0.weight"]["worst"] <= found["gradcheck"]["detection_limit"]
    bad = certify(build, X, Y, backends=[wrong], dtypes=["float32"])
    assert not bad["passed"]
    assert worse(found, {"cells": [*found["cells"], *bad["cells"]]}) == []


def test_a_model_that_is_random_without_a_key_gets_no_certificate() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(
        TargetError, match=r"check: two runs .* part at operation 0 .*isograd\.rand"
    ):
        certify(lambda: lambda x: (x * rng.normal()).sum(), X)


def test_functions_have_certificates_too() -> None:
    found = certify(lambda: lambda x: ig.sin(x).sum(), X, backends=["numpy"])
    assert found["passed"]
    with pytest.raises(TargetError):
        certify(lambda: 3, X)
