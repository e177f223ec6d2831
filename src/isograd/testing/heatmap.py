"""A report as one HTML file that opens offline: a heat map whose cells open what is behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape

from isograd.testing.report import Report

__all__ = ["html_of"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #dfe3e8; --back: #fff;
  --card: #f6f8fa; --none: #eceff2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #9aa5b1; --line: #323a42;
  --back: #14181c; --card: #1c2127; --none: #22282f; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--back);
  font: 14px/1.45 system-ui, sans-serif; }
header { padding: 1rem 1.25rem .75rem; border-bottom: 1px solid var(--line); position: sticky;
  top: 0; background: var(--back); z-index: 3; }
h1 { font-size: 1.2rem; margin: 0 0 .25rem; }
header p { margin: 0 0 .6rem; color: var(--soft); }
form { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; }
label { display: grid; gap: .15rem; font-size: .78rem; color: var(--soft); }
input, select { font: inherit; padding: .25rem .4rem; border: 1px solid var(--line);
  border-radius: 5px; background: var(--card); color: var(--ink); }
main { display: grid; grid-template-columns: minmax(0, 1fr) minmax(19rem, 27rem); gap: 1.25rem;
  padding: 1rem 1.25rem; align-items: start; }
@media (max-width: 62rem) { main { grid-template-columns: 1fr; } }
.map { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 2px; font-variant-numeric: tabular-nums; }
th { font-weight: 600; font-size: .8rem; text-align: left; padding: .1rem .4rem;
  white-space: nowrap; }
thead th { color: var(--soft); white-space: normal; vertical-align: bottom; }
thead th:not(:first-child) { width: 3.7rem; padding: .1rem .15rem; font-size: .74rem; }
tbody th { position: sticky; left: 0; max-width: 15rem; overflow: hidden; text-overflow: ellipsis;
  background: var(--back); }
td { padding: 0; }
td button { width: 3.7rem; height: 1.5rem; border: 0; border-radius: 4px; cursor: pointer;
  font: inherit; font-size: .76rem; color: #14181c; }
td button:focus-visible, td button[aria-pressed=true] { outline: 2px solid #0b5cad;
  outline-offset: 1px; }
td.none { background: var(--none); border-radius: 4px; opacity: .5; }
button.fail { background: #c62f2f; color: #fff; font-weight: 700; }
button.known { background: #d9a514; }
aside { position: sticky; top: 9rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: .8rem 1rem; max-height: calc(100vh - 10rem); overflow: auto; }
aside h2 { font-size: 1rem; margin: 0 0 .5rem; }
aside section { border-top: 1px solid var(--line); padding: .5rem 0; }
aside p { margin: .15rem 0; overflow-wrap: anywhere; }
aside code { display: block; padding: .35rem .5rem; border: 1px solid var(--line);
  border-radius: 5px; overflow-wrap: anywhere; font-size: .8rem; }
.fail-text { color: #c62f2f; font-weight: 700; }
footer { padding: 0 1.25rem 1rem; color: var(--soft); font-size: .78rem; }
"""

_SCRIPT = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const filters = ["op", "backend", "dtype", "verdict"];
const error = cell => cell.error === "inf" || cell.error === "nan" ? Infinity : +cell.error;
const unique = key => [...new Set(data.cells.map(cell => cell[key]))];
for (const key of ["backend", "dtype"])
  for (const value of unique(key)) $(key).append(new Option(value, value));

function shown() {
  const [op, backend, dtype, verdict] = filters.map(key => $(key).value.trim());
  return data.cells.filter(cell => (!op || cell.op.includes(op)) &&
    (!backend || cell.backend === backend) && (!dtype || cell.dtype === dtype) &&
    (!verdict || cell.verdict === verdict));
}
const ranks = {pass: 0, known: 1, fail: 2};
function order(a, b) {
  return ranks[b.verdict] - ranks[a.verdict] || (error(a) === error(b) ? 0 : error(b) - error(a));
}
function colour(value) {
  const share = Math.min(1, Math.max(0, Math.sqrt(value)));
  return `hsl(${150 - 105 * share} 55% ${86 - 16 * share}%)`;
}
function text(value) {
  if (value === Infinity || value === 0) return value ? "inf" : "0";
  return value < 0.01 ? "<0.01" : value.toPrecision(2);
}
function draw() {
  const cells = shown(), rows = new Map();
  for (const cell of cells) {
    if (!rows.has(cell.op)) rows.set(cell.op, new Map());
    const row = rows.get(cell.op);
    if (!row.has(cell.check)) row.set(cell.check, []);
    row.get(cell.check).push(cell);
  }
  const checks = unique("check").filter(check => cells.some(cell => cell.check === check));
  const head = document.createElement("tr");
  head.append(header("operation"), ...checks.map(header));
  $("head").replaceChildren(head);
  $("rows").replaceChildren(...[...rows].map(([op, row]) => {
    const line = document.createElement("tr");
    line.append(header(op), ...checks.map(check => box(op, check, row.get(check))));
    return line;
  }));
  const failed = cells.filter(cell => cell.verdict === "fail").length;
  $("count").textContent = `${cells.length} of ${data.cells.length} cells, ${failed} fail`;
}
function header(name) {
  const made = document.createElement("th");
  made.textContent = name.replaceAll("_", "_\\u200b");
  made.title = name;
  return made;
}
function box(op, check, cells) {
  const made = document.createElement("td");
  if (!cells) { made.className = "none"; return made; }
  const bad = [...cells].sort(order)[0], button = document.createElement("button");
  button.type = "button";
  button.className = bad.verdict;
  button.textContent = bad.verdict === "fail" ? "FAIL" : text(error(bad));
  button.title = `${op}, ${check}: ${bad.verdict}`;
  if (bad.verdict === "pass") button.style.background = colour(error(bad));
  button.addEventListener("click", () => open(op, check, cells, button));
  made.append(button);
  return made;
}
function paragraph(value, kind) {
  const made = document.createElement(kind || "p");
  made.textContent = value;
  return made;
}
function open(op, check, cells, button) {
  for (const other of document.querySelectorAll("[aria-pressed=true]"))
    other.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", "true");
  const sorted = [...cells].sort(order);
  $("detail").replaceChildren(paragraph(`${op}, ${check}`, "h2"), ...sorted.map(cell => {
    const part = document.createElement("section");
    const first = paragraph(`${cell.backend}, ${cell.dtype}: ${cell.verdict}, ` +
      `${text(error(cell))} of the bound, ${cell.count} comparisons`);
    if (cell.verdict === "fail") first.className = "fail-text";
    part.append(first);
    if (cell.sample) part.append(paragraph(`sample: ${cell.sample}`));
    if (cell.message) part.append(paragraph(cell.message));
    if (cell.verdict === "fail") {
      const which = cell.check === "edge" ? "" : ` --op ${cell.op}`;
      const where = `--check ${cell.check} --backend ${cell.backend}`;
      part.append(paragraph(`isograd check${which} ${where}`, "code"));
    }
    return part;
  }));
}
for (const key of filters) $(key).addEventListener("input", draw);
draw();
"""


def _failing(count: int) -> str:
    return "1 cell FAILS" if count == 1 else f"{count} cells FAIL"


def html_of(report: Report, facts: Mapping[str, str]) -> str:
    """Return a report as an HTML page: operations by checks, with filters, in one file.

    Parameters
    ----------
    report
        What `isograd.testing.run_checks` returned.
    facts
        Versions and settings for the foot of the page.

    Examples
    --------
    >>> from isograd.testing import Cell
    >>> page = html_of(Report((Cell("exp", "forward", "numpy", "float32", "pass"),)), {})
    >>> page.startswith("<!doctype html>")
    True
    """
    data = json.dumps({"cells": [cell.as_dict() for cell in report.cells]}).replace("<", "\\u003c")
    counts = ", ".join(f"{n} {what}" for what, n in report.counts.items() if n)
    state = "every cell is within its bound" if report.ok else _failing(len(report.failures))
    told = "; ".join(f"{name} {value}" for name, value in facts.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>isograd check: {escape(state)}</title><style>{_STYLE}</style></head><body>
<header><h1>isograd check: {escape(state)}</h1>
<p>{escape(counts)}; {report.comparisons} comparisons in {report.seconds:.0f} s. A number is the
worst error in units of its bound: up to 1 passes. <span id="count"></span></p>
<form onsubmit="return false">
<label>operation<input id="op" type="search" placeholder="part of a name"></label>
<label>backend<select id="backend"><option value="">all</option></select></label>
<label>dtype<select id="dtype"><option value="">all</option></select></label>
<label>verdict<select id="verdict"><option value="">all</option><option>pass</option>
<option>fail</option><option>known</option></select></label>
</form></header>
<main><div class="map"><table><thead id="head"></thead><tbody id="rows"></tbody></table></div>
<aside id="detail" aria-live="polite"><h2>Choose a cell</h2>
<p>It opens the comparisons behind it, the worst first, with the sample that fails.</p></aside>
</main>
<footer>{escape(told)}</footer>
<script type="application/json" id="data">{data}</script>
<script>{_SCRIPT}</script></body></html>
"""
