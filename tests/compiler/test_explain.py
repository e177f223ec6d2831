"""`explain`: the report says what the program is, and makes nothing happen."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import isograd as ig
from isograd.compiler.explain.cost import flops_of, memory_of
from isograd.compiler.explain.layout import shown
from isograd.testing.scheduled import ScheduledBackend

F = ig.nn.functional


def training():
    model = ig.nn.Sequential(ig.nn.Linear(8, 6), ig.nn.Dropout(0.3), ig.nn.Linear(6, 3))
    optimizer = ig.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @ig.compile(state=(model, optimizer))
    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return {"loss": loss}

    return step, model, optimizer, (ig.ones((5, 8)), ig.zeros(5, dtype="int64"))


def plain(explanation):
    return json.loads(explanation.to_json())


def only(explanation):
    (program,) = plain(explanation)["programs"]
    return program


def test_a_training_step_is_described(backend):
    step, _, _, args = training()
    program = only(step.explain(*args))
    facts = program["facts"]
    assert facts["called with"] == "x: float32[5, 8], y: int64[5]"
    assert facts["backend"].startswith(f"{backend} ")
    assert facts["function"].startswith(__file__)
    assert facts["equations run"] == len(program["equations"]) > 10
    names = {row["name"]: row for row in program["inputs"]}
    assert names["x"] | {"value": ""} == {
        "value": "", "name": "x", "what": "argument", "type": "float32[5, 8]", "size": 160,
        "used by": 2,
    }  # fmt: skip
    assert names["0.weight"]["what"] == "state"
    assert names["random key"]["what"] == "random key"
    becomes = [row["becomes"] for row in program["outputs"]]
    assert becomes[0] == "returned['loss']"
    assert {"0.weight", "0.bias", "2.weight", "2.bias"} <= set(becomes)
    assert any("momentum" in name for name in becomes)


def test_equations_have_the_lines_of_the_user(backend):
    step, _, _, args = training()
    program = only(step.explain(*args))
    sources = [row["source"] for row in program["lines"]]
    assert sources == ["loss = F.cross_entropy(model(x), y)", "loss.backward()", "optimizer.step()"]
    assert sum(row["equations"] for row in program["lines"]) == len(program["equations"])
    assert all(row["line"].startswith("test_explain.py:") for row in program["equations"])
    assert all("# test_explain.py:" in line for line in program["traced"][:-1])


def test_primitives_are_counted_before_and_after_passes():
    @ig.compile
    def twice(x):
        unused = ig.cos(x)
        assert unused.shape == x.shape
        return ig.sin(x) + ig.sin(x)

    counts = {r["primitive"]: r for r in only(twice.explain(ig.ones(3)))["primitives"]}
    assert (counts["sin"]["traced"], counts["sin"]["run"]) == (2, 1)
    assert (counts["cos"]["traced"], counts["cos"]["run"]) == (1, 0)
    assert (counts["add"]["traced"], counts["add"]["run"]) == (1, 1)


def test_nothing_of_the_user_changes(backend):
    step, model, optimizer, args = training()
    generator = ig.random.default_generator
    before = generator.state_dict(), [p.tolist() for p in model.parameters()]
    momenta = str(optimizer.state_dict())
    step.explain(*args)
    step.explain(*args, timings=True)
    assert (generator.state_dict(), [p.tolist() for p in model.parameters()]) == before
    assert str(optimizer.state_dict()) == momenta
    assert all(p.grad is None for p in model.parameters())
    assert args[0].tolist() == np.ones((5, 8)).tolist()
    # What was traced for the report is what a call runs.
    step(*args)
    assert len(step.programs) == 1


def test_times_are_given_for_each_part_and_in_all(backend):
    step, _, _, args = training()
    program = only(step.explain(*args, timings=True))
    parts = "steps" if "steps" in program else "equations"
    times = [row["time"] for row in program[parts]]
    assert all(t > 0 for t in times)
    assert program["facts"][f"time of all {parts}"] == pytest.approx(sum(times))
    assert program["facts"]["runs measured"] >= 3
    assert "time" not in only(step.explain(*args))[parts][0]
    if parts == "equations":
        assert sum(row["time"] for row in program["lines"]) == pytest.approx(sum(times))


def test_without_arguments_it_has_what_was_made_so_far():
    @ig.compile
    def scaled(x, n):
        return x * n

    with pytest.raises(TypeError, match=r"explain: .*scaled does not take .*missing a required"):
        scaled.explain()
    scaled(ig.ones(2), 3)
    scaled(ig.ones(4), 3)
    programs = plain(scaled.explain())["programs"]
    assert [p["title"] for p in programs] == ["Program 1 of 2", "Program 2 of 2"]
    assert [p["facts"]["called with"] for p in programs] == ["x: float32[2]", "x: float32[4]"]
    assert programs[0]["facts"]["static arguments"] == "n=3"
    with pytest.raises(TypeError, match="explain"):
        scaled.explain(timings=True)


def test_a_function_without_arguments_is_traced():
    count = ig.compile(lambda: ig.arange(4) * 2)
    assert only(count.explain(timings=True))["inputs"] == []


def test_leaves_of_trees_have_names():
    @ig.compile
    def total(batch, *rest, options, scale=1.0):
        return (batch["a"] + rest[0] + rest[1][1] + options[0] + scale,)

    one = ig.ones(2)
    program = only(total.explain({"a": one}, one, (one, one), options=[one], scale=2.0))
    names = [row["name"] for row in program["inputs"]]
    assert names == ["batch['a']", "rest[0]", "rest[1][0]", "rest[1][1]", "options[0]", "scale"]
    assert [row["used by"] for row in program["inputs"]] == [1, 1, 0, 1, 1, 1]
    assert program["outputs"][0]["becomes"] == "returned[0]"


def test_derivatives_are_programs_of_their_own():
    p = ig.nn.Parameter(ig.ones(3))
    fn = ig.compile(lambda x: (p * x).sum(), state=p)
    fn(ig.tensor([1.0, 2.0, 3.0], requires_grad=True)).backward()
    forward, backward = plain(fn.explain())["programs"]
    assert "derivative" in backward["title"]
    assert [r["becomes"] for r in backward["outputs"]] == ["gradient of x", "gradient of state"]
    assert "cotangent" in [r["name"] for r in backward["inputs"]]
    assert forward["outputs"][0]["becomes"] == "returned"


def test_gradients_that_calls_leave_and_take_are_outputs():
    p = ig.nn.Parameter(ig.ones(3))

    @ig.compile(state=p)
    def leave(x):
        (p * x).sum().backward()

    @ig.compile(state=p)
    def clear():
        p.grad = None

    x = ig.tensor([1.0, 2.0, 3.0], requires_grad=True)
    left = [row["becomes"] for row in only(leave.explain(x))["outputs"]]
    assert sorted(left) == ["state.grad", "x.grad"]
    assert p.grad is None
    leave(x)
    cleared = only(clear.explain())["outputs"]
    assert cleared == [
        {"value": "None", "becomes": "state.grad (emptied)", "type": "", "size": None}
    ]
    assert p.grad is not None


def test_it_is_refused_inside_a_trace():
    inner = ig.compile(lambda x: x + 1)

    @ig.compile
    def outer(x):
        inner.explain(x)
        return x

    with pytest.raises(ig.IsogradError, match="call explain outside"):
        outer(ig.ones(2))


def test_the_backend_that_was_chosen_is_explained():
    fn = ig.compile(lambda x: ig.exp(x), backend="numpy")
    assert only(fn.explain(ig.ones(2)))["facts"]["backend"].startswith("numpy ")


def test_a_first_step_is_still_the_first_after_a_report():
    def trained(report):
        p = ig.nn.Parameter(ig.tensor([1.0, 2.0]))
        optimizer = ig.optim.SGD([p], lr=0.1, momentum=0.9, dampening=0.5)

        @ig.compile(state=(p, optimizer))
        def step():
            (p * p).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

        for _ in range(3):
            if report:
                step.explain(timings=True)
            step()
        return p.tolist()

    assert trained(report=False) == trained(report=True)


# -- costs -----------------------------------------------------------------------------------------


def graph_of(fn, *args):
    """Return what runs where no code is written, so that nothing is decomposed."""
    compiled = ig.compile(fn, backend="numpy")
    compiled.explain(*args)
    return compiled.programs[0].graph


def test_arithmetic_of_contractions():
    x, w, b = ig.ones((2, 7, 3)), ig.ones((5, 3)), ig.ones(5)
    graph = graph_of(lambda x, w: x @ w.mT, x, w)
    assert [n for e in graph.equations if (n := flops_of(e))] == [2 * 2 * 7 * 3 * 5]
    graph = graph_of(lambda x, w, b: F.linear(x, w, b), x, w, b)
    assert [flops_of(e) for e in graph.equations] == [2 * 2 * 7 * 3 * 5 + 2 * 7 * 5]


def test_memory_is_that_of_values_until_their_last_use():
    n = 4 * 100  # bytes of one value

    def chain(x):
        a = ig.sin(x)
        b = ig.cos(a)
        c = ig.exp(a)
        return ig.sin(b * c)

    memory = memory_of(graph_of(chain, ig.ones(100)))
    # a; a and b; a, b and c; b, c and their product; the product and the result
    assert [live // n for live in memory.live] == [1, 2, 3, 3, 2]
    assert (memory.inputs, memory.constants, memory.outputs) == (n, 0, n)
    assert (memory.peak, memory.peak_at) == (4 * n, 2)


def test_views_cost_nothing_and_hold_what_they_look_into():
    def viewed(x):
        a = ig.reshape(ig.sin(x), (10, 10))
        b = ig.exp(x)
        return ig.sum(a) + ig.sum(b)

    graph = graph_of(viewed, ig.ones(100))
    memory = memory_of(graph)
    at = [e.prim.name for e in graph.equations]
    assert memory.live[at.index("reshape")] == 400
    assert memory.live[at.index("exp")] == 800


def test_a_program_without_equations_has_a_report():
    program = only(ig.compile(lambda x: x).explain(ig.ones(3), timings=True))
    assert program["equations"] == []
    facts = program["facts"]
    copied = facts["memory of outputs"] if "steps" in program else 0
    assert facts["peak memory"] == 12 + copied
    assert program["traced"] == ["return %0"]


# -- native code -----------------------------------------------------------------------------------


@pytest.fixture
def native():
    """Explain with a backend that writes code: the interpreter of schedules stands in for one."""
    try:
        with ig.use_backend("numba"):
            yield True
    except ig.BackendUnavailableError:
        with ig.use_backend(ScheduledBackend()):
            yield False


def test_steps_say_what_is_fused(native):
    step, _, _, args = training()
    program = only(step.explain(*args))
    steps = program["steps"]
    # 5x8 @ 8x6 with its bias, dropout and all, up to the next product.
    assert steps[0]["step"].startswith(("product 5x8 @ 8x6", "call random_"))
    product = next(row for row in steps if row["step"].startswith("product 5x8 @ 8x6"))
    assert product["computes"].startswith("matmul, add")
    assert product["flops"] == 2 * 5 * 8 * 6
    # x and y, weights with their bias; written once.
    assert product["moved"] >= 4 * (5 * 8 + 8 * 6 + 5 * 6)
    assert all("copy" == row["computes"] or row["lines"] for row in steps)
    # Each equation says in which step it went; views went nowhere.
    where = {
        row["equation"].split(" = ")[1].split("(")[0]: row["steps"] for row in program["equations"]
    }
    assert where["permute_dims"] == "none"
    assert where["matmul"] != "none"


def test_the_memory_of_a_schedule_is_exact(native):
    n = 4 * 100

    def fn(x):
        a = ig.cumulative_sum(ig.sin(x))
        return ig.cumulative_sum(a * x), a.sum()

    program = only(ig.compile(fn).explain(ig.ones(100)))
    facts = program["facts"]
    assert (facts["memory of inputs"], facts["memory of outputs"]) == (n, n + 4)
    assert facts["arena"] >= n
    assert facts["arena"] % 64 == 0
    assert facts["peak memory"] == facts["arena"] + 2 * n + 4 + facts.get("packed by products", 0)
    where = [row["where"] for row in program["buffers"]]
    assert where.count("input") == 1
    assert where.count("output") == 2
    assert sum(w.startswith("arena at ") for w in where) == len(where) - 3
    assert max(row["live"] for row in program["steps"]) <= facts["arena"]


def test_state_is_shown_over_what_it_replaces(native):
    step, model, _, args = training()
    program = only(step.explain(*args))
    held = sum([4 * p.size for p in model.parameters()])
    assert program["facts"]["state written in place"] == 2 * held  # with the momenta
    over = {row["name"]: row["where"] for row in program["buffers"]}
    assert over["0.weight"].startswith("over b")


def test_generated_code_is_in_files_and_on_request(native):
    report = ig.compile(lambda x: ig.tanh(x) + 1).explain(ig.ones(7))
    program = only(report)
    (row,) = program["steps"]
    assert row["step"] == "loop 7: kernel 0"
    assert any("tanh(v" in line for line in program["schedule"])
    if not native:
        assert "source" not in program
        return
    assert program["source"][0] == "; kernel 0, a loop, of steps 0"
    assert any(line.startswith("define void") for line in program["source"])
    assert "define void" not in str(report)
    assert "define void" in report.to_text(source=True)
    assert "define void" in report.to_html()


@pytest.mark.parametrize("length", [3, 150])
def test_steps_of_a_loop_are_those_of_its_body(length):
    pytest.importorskip("numba", reason="loops are rows of the table of native code")

    def fn(x, h, w):
        def body(h, x):
            h = ig.tanh(x + h @ w)
            return h, h.sum()

        return ig.scan(body, h, x)

    args = ig.ones((length, 2, 4)), ig.ones((2, 4)), ig.ones((4, 4))
    program = only(ig.compile(fn, backend="numba").explain(*args, timings=True))
    steps = program["steps"]
    assert sum(row.get("runs", 1) for row in steps) == 2 * length
    assert len(steps) == (2 * length if length < 100 else 2)
    assert steps[0]["computes"] == "matmul, add, tanh"
    assert sum(row["flops"] or 0 for row in steps) == program["facts"]["arithmetic"]
    assert program["equations"][0]["steps"] == f"0-{2 * length - 1}"
    assert all(row["time"] > 0 for row in steps)


def test_a_call_that_fails_while_it_is_measured_says_so(native):
    fn = ig.compile(lambda x, i: ig.take(ig.exp(x), i, axis=0))
    i = ig.tensor([0, 9])
    with pytest.raises(IndexError, match=r"take: index 9 is out of range"):
        fn.explain(ig.ones(3), i, timings=True)
    fn.explain(ig.ones(3), i)


# -- forms -----------------------------------------------------------------------------------------


def test_text_fits_100_columns():
    step, _, _, args = training()
    text = str(step.explain(*args, timings=True))
    assert max(map(len, text.splitlines())) <= 100
    for heading in ("Key facts", "By line of your program", "Equations that run", "Constants"):
        assert f"\n{heading}\n" in text
    assert "adam" not in text
    assert "sgd_update" in text


def test_html_needs_nothing_from_outside_and_is_escaped():
    @ig.compile
    def fn(x, tag):
        return x < 2.0, "<b>" == tag  # <script>alert("x")</script>

    page = fn.explain(ig.ones(3), "<img src=x onerror=y>", timings=True).to_html()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;img src=x onerror=y&gt;" in page
    assert not re.search(r"(https?:|//|url\(|@import|<link|src=[\"'])", _without_text(page))
    assert "default-src 'none'" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def _without_text(page):
    """Return the tags and the style of a page."""
    return "".join(re.findall(r"<style>.*?</style>|<[^>]*>", page, re.DOTALL))


def test_reports_are_saved_in_the_form_that_the_name_asks_for(tmp_path):
    report = ig.compile(lambda x: -x).explain(ig.ones(3))
    for name, start in (("a.html", "<!doctype"), ("a.JSON", "{"), ("a.txt", "compiled ")):
        report.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    with pytest.raises(ValueError, match=r"save: 'a.pdf' .* end the name in .html, .json, .txt"):
        report.save(tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "bytes", ""),
        (0, "bytes", "0 B"),
        (1023, "bytes", "1023 B"),
        (1024, "bytes", "1 KiB"),
        (150 * 1024**2, "bytes", "150 MiB"),
        (12345, "count", "12,345"),
        (999, "flops", "999"),
        (2_500_000, "flops", "2.5 M"),
        (3.4e-8, "seconds", "34 ns"),
        (1.25e-3, "seconds", "1.2 ms"),
        (75.0, "seconds", "75 s"),
    ],
)
def test_numbers_are_short(value, kind, text):
    assert shown(value, kind) == text
