"""The driver: one native function that runs the steps of any program, from a table.

Python calls ``execute(plan, first, last, *arrays)``. ``plan`` is the address of 64-bit integers:

    table        address of the steps; each is (function, arguments, work items, useful threads)
    patches      address of (array, slot, offset): where the address of an array's data is to go
    count        how many patches there are
    status       address of (flag, value) for each check
    checks       how many checks there are
    commit       the first step that writes state: not begun if a check has failed
    release      whether to let go of the GIL
    guards       address of (object, number of references) for what must have no other references
    guarded      how many there are
    watches      address of (address, word) for words that must be as they were
    watched      how many there are

It returns 0; 1 if an array is not contiguous, and 3 if a guard
or a watch fails, before anything is done; 2 if
a check has failed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from isograd_numba import _cache, _link
from isograd_numba._interrupts import held_back
from isograd_numba._llvm import ir as _llvm_ir
from isograd_numba.codegen.module import object_code

__all__ = ["driver"]


class _Driver:
    def __init__(self) -> None:
        ir = self.ir = _llvm_ir()
        self.module = ir.Module("driver")
        self.i64, self.i32 = ir.IntType(64), ir.IntType(32)
        self.pointer = ir.IntType(8).as_pointer()
        self.step = ir.FunctionType(ir.VoidType(), [self.i64.as_pointer(), self.i64, self.i64])
        self.team = self._team()
        self.run = self._run()
        self._execute()

    def _external(self, name: str, result: Any, parameters: list[Any]) -> Any:
        if name not in self.module.globals:
            self.ir.Function(self.module, self.ir.FunctionType(result, parameters), name)
        return self.module.globals[name]

    def _word(self, builder: Any, address: Any, number: int) -> Any:
        place = builder.add(address, self.i64(8 * number))
        return builder.load(builder.inttoptr(place, self.i64.as_pointer()))

    def _call(self, builder: Any, record: Any, start: Any, stop: Any) -> None:
        function = builder.inttoptr(self._word(builder, record, 0), self.step.as_pointer())
        arguments = builder.inttoptr(self._word(builder, record, 1), self.i64.as_pointer())
        builder.call(function, [arguments, start, stop])

    @contextmanager
    def _loop(self, builder: Any, start: Any, stop: Any) -> Generator[Any]:
        before = builder.block
        head, body, done = [builder.append_basic_block(n) for n in ("head", "loop", "done")]
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(self.i64)
        index.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed("<", index, stop), body, done)
        builder.position_at_end(body)
        yield index
        index.add_incoming(builder.add(index, self.i64(1)), builder.block)
        builder.branch(head)
        builder.position_at_end(done)

    def _team(self) -> Any:
        """Define what each thread of a team does: its contiguous share of the work items."""
        ir = self.ir
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [self.pointer]), "team")
        function.linkage = "internal"
        b = ir.IRBuilder(function.append_basic_block())
        record = b.ptrtoint(function.args[0], self.i64)
        n = self._word(b, record, 2)
        rank = b.sext(b.call(self._external("isograd_thread", self.i32, []), []), self.i64)
        size = b.sext(b.call(self._external("isograd_team", self.i32, []), []), self.i64)
        start = b.sdiv(b.mul(n, rank), size)
        stop = b.sdiv(b.mul(n, b.add(rank, self.i64(1))), size)
        self._call(b, record, start, stop)
        b.ret_void()
        return function

    def _run(self) -> Any:
        """Define ``run(table, first, last)``."""
        ir = self.ir
        function = ir.Function(
            self.module, ir.FunctionType(ir.VoidType(), [self.i64] * 3), "run_steps"
        )
        function.linkage = "internal"
        b = ir.IRBuilder(function.append_basic_block())
        table, first, last = function.args
        cell = ir.GlobalVariable(self.module, self.i64, "isograd_threads")
        cell.linkage = "external"
        limit = b.load(cell)
        with self._loop(b, first, last) as i:
            record = b.add(table, b.mul(i, self.i64(32)))
            n, useful = self._word(b, record, 2), self._word(b, record, 3)
            threads = b.select(b.icmp_signed("<", useful, limit), useful, limit)
            with b.if_else(b.icmp_signed(">", threads, self.i64(1))) as (several, one):
                with several:
                    parallel = self._external(
                        "isograd_parallel",
                        ir.VoidType(),
                        [self.pointer, self.pointer, self.i32, self.i32],
                    )
                    team = b.bitcast(self.team, self.pointer)
                    data = b.inttoptr(record, self.pointer)
                    b.call(parallel, [team, data, b.trunc(threads, self.i32), self.i32(0)])
                with one:
                    self._call(b, record, self.i64(0), n)
        b.ret_void()
        return function

    def _failed(self, b: Any, plan: Any) -> Any:
        """Return whether a check has failed."""
        status, checks = self._word(b, plan, 3), self._word(b, plan, 4)
        found = b.alloca(self.i64)
        b.store(self.i64(0), found)
        with self._loop(b, self.i64(0), checks) as i:
            flag = self._word(b, b.add(status, b.mul(i, self.i64(16))), 0)
            b.store(b.or_(b.load(found), flag), found)
        return b.icmp_signed("!=", b.load(found), self.i64(0))

    def _check_guards(self, b: Any, plan: Any, answer: Any) -> None:
        """Return 3 unless guarded objects have as many references, and words are, as is known."""
        guards, guarded = self._word(b, plan, 7), self._word(b, plan, 8)
        different = b.alloca(self.i32)
        b.store(self.i32(0), different)
        with self._loop(b, self.i64(0), guarded) as i:
            guard = b.add(guards, b.mul(i, self.i64(16)))
            count = b.inttoptr(self._word(b, guard, 0), self.i32.as_pointer())
            due = b.trunc(self._word(b, guard, 1), self.i32)
            b.store(b.or_(b.load(different), b.xor(b.load(count), due)), different)
        changed = b.alloca(self.i64)
        b.store(self.i64(0), changed)
        watches, watched = self._word(b, plan, 9), self._word(b, plan, 10)
        with self._loop(b, self.i64(0), watched) as i:
            watch = b.add(watches, b.mul(i, self.i64(16)))
            now = b.load(b.inttoptr(self._word(b, watch, 0), self.i64.as_pointer()))
            b.store(b.or_(b.load(changed), b.xor(now, self._word(b, watch, 1))), changed)
        wrong = b.or_(b.load(changed), b.zext(b.load(different), self.i64))
        with b.if_then(b.icmp_signed("!=", wrong, self.i64(0)), likely=False):
            b.ret(b.call(answer, [self.i64(3)]))

    def _execute(self) -> None:
        ir, header = self.ir, object.__basicsize__
        kind = ir.FunctionType(self.pointer, [self.pointer, self.pointer.as_pointer(), self.i64])
        function = ir.Function(self.module, kind, "isograd_execute")
        b = ir.IRBuilder(function.append_basic_block())
        _, objects, count = function.args
        integer = self._external("PyLong_AsLongLong", self.i64, [self.pointer])
        given = [b.call(integer, [b.load(b.gep(objects, [self.i64(i)]))]) for i in range(3)]
        plan, first, last = given
        answer = self._external("PyLong_FromLongLong", self.pointer, [self.i64])
        refused = function.append_basic_block("refused")

        # Every array must be C-contiguous (flag 1) and aligned (0x100).
        flags = b.alloca(self.i32)
        b.store(self.i32(0x101), flags)
        with self._loop(b, self.i64(3), count) as i:
            array = b.ptrtoint(b.load(b.gep(objects, [i])), self.i64)
            place = b.inttoptr(b.add(array, self.i64(header + 48)), self.i32.as_pointer())
            b.store(b.and_(b.load(flags), b.load(place)), flags)
        good = function.append_basic_block("good")
        b.cbranch(b.icmp_signed("==", b.load(flags), self.i32(0x101)), good, refused)
        b.position_at_end(refused)
        b.ret(b.call(answer, [self.i64(1)]))
        b.position_at_end(good)

        self._check_guards(b, plan, answer)
        patches = self._word(b, plan, 1)
        patched = b.select(
            b.icmp_signed(">", count, self.i64(3)), self._word(b, plan, 2), self.i64(0)
        )
        with self._loop(b, self.i64(0), patched) as i:
            patch = b.add(patches, b.mul(i, self.i64(24)))
            number, slot, offset = [self._word(b, patch, k) for k in range(3)]
            array = b.load(b.gep(objects, [b.add(number, self.i64(3))]))
            place = b.add(b.ptrtoint(array, self.i64), self.i64(header))
            data = b.load(b.inttoptr(place, self.i64.as_pointer()))
            b.store(b.add(data, offset), b.inttoptr(slot, self.i64.as_pointer()))

        release = b.icmp_signed("!=", self._word(b, plan, 6), self.i64(0))
        state = b.alloca(self.pointer)
        with b.if_then(release):
            b.store(b.call(self._external("PyEval_SaveThread", self.pointer, []), []), state)
        table, commit = self._word(b, plan, 0), self._word(b, plan, 5)
        middle = b.select(b.icmp_signed("<", commit, last), commit, last)
        middle = b.select(b.icmp_signed(">", first, middle), first, middle)
        b.call(self.run, [table, first, middle])
        result = b.alloca(self.i64)
        b.store(self.i64(2), result)
        with b.if_then(b.not_(self._failed(b, plan))):
            b.call(self.run, [table, middle, last])
            b.store(b.select(self._failed(b, plan), self.i64(2), self.i64(0)), result)
        with b.if_then(release):
            restore = self._external("PyEval_RestoreThread", ir.VoidType(), [self.pointer])
            b.call(restore, [b.load(state)])
        b.ret(b.call(answer, [b.load(result)]))


@functools.cache
def driver() -> Callable[..., int]:
    """Return ``execute``."""
    with held_back():
        store = _cache.open_store()
        code = store.load("driver")
        if code is None:
            code = object_code(_Driver().module, ["isograd_execute"])
            store.save("driver", code)
        execute: Any = _link.link(code, "isograd_execute", "execute")
    return execute
