"""A report as one HTML file that opens offline: a heat map whose cells open what is behind them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from html import escape
from typing import Any

from isograd.testing.report import Report, number

__all__ = ["html_of"]

# Blue for errors and vermilion for failures are told apart by people who see few colours, too, and
# what fails says so.
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #56606b; --line: #dfe3e8; --back: #fff;
  --card: #f6f8fa; --none: #eff1f4; --low: #eaf2fb; --high: #5fa3dd; --fail: #c2410c;
  --known: #f0c04a; --focus: #0b4f9e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #a3adb8; --line: #343c45;
  --back: #14181c; --card: #1c2127; --none: #1b2026; --low: #1c2a38; --high: #2f6fa8;
  --fail: #c2410c; --known: #8a6410; --focus: #8cc4ff; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--back); height: 100vh; display: flex;
  flex-direction: column; font: 14px/1.45 system-ui, sans-serif; }
header { padding: .8rem 1.25rem .7rem; border-bottom: 1px solid var(--line); }
h1 { font-size: 1.2rem; margin: 0 0 .15rem; }
header p { margin: 0 0 .5rem; color: var(--soft); }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; }
label { display: grid; gap: .15rem; font-size: .78rem; color: var(--soft); }
input, select { font: inherit; padding: .25rem .4rem; border: 1px solid var(--line);
  border-radius: 5px; background: var(--card); color: var(--ink); }
.legend { display: flex; gap: .9rem; align-items: center; font-size: .78rem; color: var(--soft);
  margin-left: auto; }
.legend i { display: inline-block; width: 1.1rem; height: .8rem; border-radius: 3px;
  vertical-align: -1px; margin-right: .3rem; }
.legend .scale { width: 4.5rem; background: linear-gradient(90deg, var(--low), var(--high)); }
main { flex: 1; min-height: 0; display: grid; gap: 1rem; padding: 0 1.25rem;
  grid-template-columns: minmax(0, 1fr) minmax(19rem, 25rem); }
.map { overflow: auto; }
table { border-collapse: separate; border-spacing: 2px; font-variant-numeric: tabular-nums; }
th { font-weight: 600; font-size: .8rem; text-align: left; padding: .1rem .4rem;
  background: var(--back); white-space: nowrap; }
thead th { position: sticky; top: 0; z-index: 2; color: var(--soft); font-size: .7rem;
  padding: .6rem .1rem .2rem; white-space: normal; vertical-align: bottom; text-align: center;
  line-height: 1.15; }
thead th:first-child { left: 0; z-index: 3; text-align: left; padding-left: .4rem; }
tbody th { position: sticky; left: 0; z-index: 1; max-width: 15rem; overflow: hidden;
  text-overflow: ellipsis; }
td { padding: 0; }
td button { width: 100%; min-width: 3.6rem; height: 1.45rem; border: 0; border-radius: 4px;
  cursor: pointer; font: inherit; font-size: .74rem; color: var(--ink);
  background: color-mix(in oklab, var(--low), var(--high) calc(100% * var(--share, 0))); }
td button:focus-visible, td button[aria-pressed=true], li button:focus-visible {
  outline: 2px solid var(--focus); outline-offset: 1px; }
td.none { background: var(--none); border-radius: 4px; min-width: 3.6rem; height: 1.45rem; }
button.zero { color: var(--soft); }
button.fail, .legend .fail { background: var(--fail); color: #fff; font-weight: 700; }
button.known, .legend .known { background: var(--known); }
aside { overflow: auto; margin: .8rem 0; padding: .8rem 1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; position: relative; }
aside h2 { font-size: 1rem; margin: 0 2rem .5rem 0; overflow-wrap: anywhere; }
aside section { border-top: 1px solid var(--line); padding: .5rem 0; }
aside p { margin: .15rem 0; overflow-wrap: anywhere; white-space: pre-line; }
aside code { display: block; padding: .35rem .5rem; border: 1px solid var(--line);
  border-radius: 5px; overflow-x: auto; white-space: nowrap; font-size: .8rem; user-select: all; }
aside ul { list-style: none; margin: 0; padding: 0; }
li button { font: inherit; width: 100%; text-align: left; border: 0; border-radius: 5px;
  background: none; color: var(--ink); padding: .2rem .3rem; cursor: pointer;
  overflow-wrap: anywhere; }
li button:hover { background: var(--none); }
#close { position: absolute; top: .5rem; right: .6rem; border: 0; background: none; cursor: pointer;
  font-size: 1.2rem; color: var(--soft); }
.mark { color: var(--fail); font-weight: 700; }
@media (prefers-color-scheme: dark) { .mark { color: #ff9d6b; } }
footer { padding: .35rem 1.25rem; color: var(--soft); font-size: .75rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; max-height: 3.4rem; overflow: auto; }
@media (max-width: 60rem) {
  main { grid-template-columns: minmax(0, 1fr); padding: 0 .6rem; }
  header { padding: .6rem .8rem; }
  form { gap: .3rem .5rem; }
  .legend { margin-left: 0; }
  tbody th { max-width: 8.5rem; }
  aside { display: none; }
  aside.open { display: block; position: fixed; inset: auto 0 0 0; margin: 0; z-index: 4;
    max-height: 55vh; border-radius: 12px 12px 0 0; box-shadow: 0 -4px 24px #0006; }
  footer { display: none; }
}
"""

_SCRIPT = """
"use strict";
const packed = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const cells = packed.rows.map(row => Object.fromEntries(packed.keys.map((key, i) =>
  [key, packed.texts.includes(key) ? packed.strings[row[i]] : row[i]])));
const model = packed.model;
for (const cell of cells) {
  cell.value = typeof cell.error === "string" ? Infinity : cell.error;
  cell.column = model ? `${cell.backend} ${cell.dtype}` : cell.check;
}
const filters = ["op", "check", "backend", "dtype", "verdict"];
const unique = key => [...new Set(cells.map(cell => cell[key]))];
for (const key of filters.slice(1, 4))
  for (const value of unique(key)) $(key).append(new Option(value, value));

const ranks = {pass: 0, known: 1, fail: 2};
const order = (a, b) =>
  ranks[b.verdict] - ranks[a.verdict] || (a.value === b.value ? 0 : b.value - a.value);
let grid = [];

function element(kind, text, name) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}
function told(value) {
  if (value === Infinity || value === 0) return value ? "inf" : "0";
  return value < 0.01 ? "<0.01" : value.toPrecision(2);
}
function shown() {
  const [op, ...others] = filters.map(key => $(key).value.trim());
  return cells.filter(cell => (!op || cell.op.includes(op)) &&
    others.every((value, i) => !value || cell[filters[i + 1]] === value));
}
function draw() {
  const found = shown(), rows = new Map();
  for (const cell of found) {
    if (!rows.has(cell.op)) rows.set(cell.op, new Map());
    const row = rows.get(cell.op);
    if (!row.has(cell.column)) row.set(cell.column, []);
    row.get(cell.column).push(cell);
  }
  const present = new Set(found.map(cell => cell.column));
  const columns = unique("column").filter(name => present.has(name));
  const fails = row => [...row.values()].some(list => list.some(cell => cell.verdict === "fail"));
  const sorted = [...rows].sort((a, b) => fails(b[1]) - fails(a[1]));
  const head = element("tr");
  head.append(header(model ? "what" : "operation"), ...columns.map(header));
  grid = [];
  const body = document.createDocumentFragment();
  for (const [op, row] of sorted) {
    const line = element("tr"), buttons = [];
    line.append(header(op));
    for (const name of columns) line.append(box(op, name, row.get(name), buttons));
    grid.push(buttons);
    body.append(line);
  }
  $("head").replaceChildren(head);
  $("rows").replaceChildren(body);
  const first = $("rows").querySelector("button");
  if (first) first.tabIndex = 0;
  const failed = found.filter(cell => cell.verdict === "fail").length;
  $("count").textContent = `Shown: ${found.length} of ${cells.length} cells, ${failed} fail.`;
}
function header(name) {
  const made = element("th", name.replaceAll(/[_.]/g, "$&\\u200b"));
  made.title = name;
  return made;
}
function box(op, name, list, buttons) {
  if (!list) { buttons.push(null); return element("td", undefined, "none"); }
  const bad = list.reduce((a, b) => order(a, b) <= 0 ? a : b);
  const words = {fail: "FAIL", known: "known"}, made = element("td");
  const button = element("button", words[bad.verdict] || told(bad.value), bad.verdict);
  button.type = "button";
  button.tabIndex = -1;
  button.title = `${op}, ${name}: ${bad.verdict}`;
  if (bad.value < Infinity)
    button.setAttribute("aria-label", `${button.title}, ${told(bad.value)} of the bound`);
  if (!bad.value) button.classList.add("zero");
  button.style.setProperty("--share", Math.min(1, Math.sqrt(bad.value)).toFixed(3));
  button.addEventListener("click", () => open(op, name, list, button));
  buttons.push(button);
  made.append(button);
  return made;
}
function quoted(text) {
  return /^[\\w.:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\\\''")}'`;
}
function command(cell) {
  if (model)
    return cell.check === "gradcheck" ? "" :
      `isograd diff numpy ${quoted(cell.backend)} --model ${quoted(model)} --input FILE`;
  const which = cell.check === "edge" ? "" : ` --op ${quoted(cell.op)}`;
  return `isograd check${which} --check ${cell.check} --backend ${quoted(cell.backend)}`;
}
function open(op, name, list, button) {
  press(button);
  const parts = [...list].sort(order).map(cell => {
    const part = element("section");
    const line = element("p", undefined, cell.verdict === "fail" ? "mark" : "");
    line.textContent = `${cell.backend}, ${cell.dtype}: ${cell.verdict}` +
      (cell.value < Infinity ? `, ${told(cell.value)} of the bound` : "") +
      (cell.count > 1 ? `, ${cell.count} comparisons` : "");
    part.append(line);
    if (cell.sample) part.append(element("p", `sample: ${cell.sample}`));
    if (cell.message) part.append(element("p", cell.message));
    if (cell.verdict === "fail" && command(cell)) part.append(element("code", command(cell)));
    return part;
  });
  $("detail").replaceChildren(element("h2", `${op}, ${name}`), ...parts);
  $("panel").classList.add("open");
  $("panel").scrollTop = 0;
  $("close").hidden = false;
}
function press(button) {
  for (const other of document.querySelectorAll("td [aria-pressed=true]"))
    other.setAttribute("aria-pressed", "false");
  for (const other of document.querySelectorAll("td [tabindex='0']")) other.tabIndex = -1;
  if (!button) return;
  button.setAttribute("aria-pressed", "true");
  button.tabIndex = 0;
}
function overview() {
  press(null);
  const first = $("rows").querySelector("button");
  if (first) first.tabIndex = 0;
  const failed = cells.filter(cell => cell.verdict === "fail");
  const list = element("ul");
  for (const cell of failed.slice(0, 200)) {
    const item = element("li"), words = [cell.op, cell.check, cell.backend, cell.dtype];
    const link = element("button", words.filter(word => word !== "*").join(", "));
    link.type = "button";
    link.addEventListener("click", () => {
      const all = cells.filter(c => c.op === cell.op && c.column === cell.column);
      open(cell.op, cell.column, all, null);
    });
    item.append(link);
    list.append(item);
  }
  const title = failed.length ? `What fails: ${failed.length}` : "Choose a cell";
  $("detail").replaceChildren(element("h2", title), list, element("p",
    "A cell opens the comparisons behind it, the worst first, with the sample of each. " +
    "Arrow keys go from cell to cell, Enter opens one, Escape closes it."));
  $("panel").classList.remove("open");
  $("close").hidden = true;
}
const steps = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
$("rows").addEventListener("keydown", event => {
  if (!(event.key in steps)) return;
  const [down, right] = steps[event.key];
  let i = grid.findIndex(row => row.includes(event.target));
  let j = i < 0 ? -1 : grid[i].indexOf(event.target);
  do { i += down; j += right; } while (grid[i] && j >= 0 && j < grid[i].length && !grid[i][j]);
  const next = grid[i] && grid[i][j];
  if (!next) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
document.addEventListener("keydown", event => { if (event.key === "Escape") overview(); });
$("close").addEventListener("click", overview);
let waiting = 0;
for (const key of filters) $(key).addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(draw, key === "op" ? 80 : 0);
});
draw();
overview();
"""

_TEXTS = ("op", "check", "backend", "dtype", "verdict", "sample", "message")
_KEYS = (*_TEXTS, "error", "count")


def _packed(report: Report, model: str) -> str:
    """Return the cells as JSON that can stand in HTML, each text once."""
    strings: dict[str, int] = {}
    rows: list[list[Any]] = []
    for cell in report.cells:
        texts = [strings.setdefault(str(getattr(cell, key)), len(strings)) for key in _TEXTS]
        error = float(f"{cell.error:.4g}") if math.isfinite(cell.error) else number(cell.error)
        rows.append([*texts, error, cell.count])
    content = {
        "model": model,
        "keys": _KEYS,
        "texts": _TEXTS,
        "strings": list(strings),
        "rows": rows,
    }
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _failing(count: int) -> str:
    return "1 cell FAILS" if count == 1 else f"{count} cells FAIL"


def html_of(report: Report, facts: Mapping[str, str], *, model: str = "") -> str:
    """Return a report as an HTML page: operations by checks, with filters, in one file.

    Parameters
    ----------
    report
        What `isograd.testing.run_checks` returned.
    facts
        Versions and settings for the foot of the page.
    model
        The model whose outputs and gradients the cells are, by backends and dtypes; or empty.

    Examples
    --------
    >>> from isograd.testing import Cell
    >>> page = html_of(Report((Cell("exp", "forward", "numpy", "float32", "pass"),)), {})
    >>> page.startswith("<!doctype html>")
    True
    """
    counts = ", ".join(f"{n} {what}" for what, n in report.counts.items() if n)
    failed = len(report.failures)
    state = _failing(failed) if failed else "every cell is within its bound"
    if not report.complete:
        state = f"INCOMPLETE, stopped before the end: {state}"
    told = "; ".join(f"{name} {value}" for name, value in facts.items())
    title = escape(f"isograd check{' ' + model if model else ''}: {state}")
    took = f" in {report.seconds:.0f} s" if report.seconds else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title><style>{_STYLE}</style></head><body>
<header><h1>{title}</h1>
<p>{escape(counts)}; {report.comparisons} comparisons{took}. A number is the worst error in units of
its bound: up to 1 passes. <span id="count" role="status"></span></p>
<form onsubmit="return false">
<label>{"what" if model else "operation"}
<input id="op" type="search" placeholder="part of a name"></label>
<label>check<select id="check"><option value="">all</option></select></label>
<label>backend<select id="backend"><option value="">all</option></select></label>
<label>dtype<select id="dtype"><option value="">all</option></select></label>
<label>verdict<select id="verdict"><option value="">all</option><option>pass</option>
<option>fail</option><option>known</option></select></label>
<div class="legend" aria-hidden="true"><span><i class="scale"></i>0 to 1</span>
<span><i class="fail"></i>fails</span><span><i class="known"></i>accepted</span></div>
</form></header>
<main><div class="map"><table><thead id="head"></thead><tbody id="rows"></tbody></table></div>
<aside id="panel"><button id="close" type="button" aria-label="close" hidden>&times;</button>
<div id="detail" aria-live="polite"></div></aside>
</main>
<footer>{escape(told)}</footer>
<script type="application/json" id="data">{_packed(report, model)}</script>
<script>{_SCRIPT}</script></body></html>
"""
