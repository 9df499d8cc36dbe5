"""How threads divide a loop: each takes the next piece until none is left; as LLVM assembly, for `threads.py`.

A word, the ticket, counts the pieces that nobody has taken. Above the count stands the number of the loop, so that a
thread which was asleep for a while cannot take a piece of another loop than it looked at. Helpers that find nothing
look again for some ten microseconds before they sleep, as in OpenMP's run-time libraries: rows follow each other
closely, and to wake a thread takes longer than many a loop. Those who sleep are woken by whoever has taken a piece, two
by each, so that many threads do not wait for one that wakes them all.

The caller never waits for a helper to wake up, only for pieces that one has taken.
"""

from __future__ import annotations

import platform

__all__ = ["HELPER", "WORDS", "assembly"]

# Words that all threads see, by lines of a cache: what changes with each piece, and what with each loop.
TICKET, LEFT, LOOP, TABLE, ROUNDS, SUMS, BYTES, PIECES, BUSY, WORDS = 0, 8, 16, 17, 18, 19, 20, 21, 24, 32
# Words of each helper: a semaphore of up to 64 bytes, and whether it sleeps.
SEMAPHORE, SLEEPS, HELPER = 0, 8, 16

COUNT = (1 << 20) - 1
"""The part of a ticket that counts pieces."""
FINE = 4
"""Pieces for each thread, of a loop that sums nothing."""
LOOKS = 1500
"""How often a helper looks for more before it sleeps; at 140 cycles each on a recent processor, some 60 us."""
PATIENCE = 500
"""How often the caller looks whether the last pieces are done before it lets other threads have its processor."""


def assembly(count: int, words: int) -> str:
    """LLVM assembly of `work`, a helper's life, and `share`, which a caller calls.

    Parameters
    ----------
    count : int
        Threads, with the caller.
    words : int
        Address of `WORDS` words, and `HELPER` more for each thread.
    """
    parts = [_FROM_C, _pause(), _PIECE, _claim(words), _run(words), _wake(count, words), _work(words)]
    return "\n\n".join([*parts, _share(count, words)]) + "\n"


def _word(words: int, place: int) -> str:
    return f"inttoptr (i64 {words + 8 * place} to ptr)"


_OF_LOOPS = {
    "loop": (LOOP, "ptr"),
    "table": (TABLE, "ptr"),
    "rounds": (ROUNDS, "i64"),
    "sums": (SUMS, "ptr"),
    "bytes": (BYTES, "i64"),
    "pieces": (PIECES, "i64"),
}
"""Words that describe a loop, and their types, by the names that they have in functions."""

_FROM_C = """declare i32 @sem_wait(ptr)
declare i32 @sem_post(ptr)
declare i32 @sched_yield()"""

_PIECE = """
define internal void @piece(ptr %loop, ptr %table, i64 %rounds, ptr %sums, i64 %bytes, i64 %pieces, i64 %k) {
  %next = add i64 %k, 1
  %a = mul i64 %k, %rounds
  %first = udiv i64 %a, %pieces
  %b = mul i64 %next, %rounds
  %last = udiv i64 %b, %pieces
  %skip = mul i64 %k, %bytes
  %own = getelementptr i8, ptr %sums, i64 %skip
  call void %loop(ptr %table, i64 %first, i64 %last, ptr %own)
  ret void
}"""


def _claim(words: int) -> str:
    """How many pieces nobody had taken, of which the caller has one now; 0 if there was none."""
    ticket = _word(words, TICKET)
    return f"""define internal i64 @claim() {{
entry:
  br label %look
look:
  %ticket = load atomic i64, ptr {ticket} acquire, align 8
  %left = and i64 %ticket, {COUNT}
  %none = icmp eq i64 %left, 0
  br i1 %none, label %end, label %take
take:
  %less = sub i64 %ticket, 1
  %pair = cmpxchg ptr {ticket}, i64 %ticket, i64 %less acq_rel acquire
  %taken = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %taken, label %end, label %look
end:
  ret i64 %left
}}"""


def _run(words: int) -> str:
    """Do the piece that one has taken, of so many that were left."""
    read = "\n".join([f"  %{name} = load {kind}, ptr {_word(words, at)}" for name, (at, kind) in _OF_LOOPS.items()])
    return f"""define internal void @run(i64 %left) {{
{read}
  %k = sub i64 %pieces, %left
  call void @piece(ptr %loop, ptr %table, i64 %rounds, ptr %sums, i64 %bytes, i64 %pieces, i64 %k)
  %before = atomicrmw sub ptr {_word(words, LEFT)}, i64 1 acq_rel
  ret void
}}"""


def _wake(count: int, words: int) -> str:
    """Wake the helper of that number, if there is one and it sleeps."""
    return f"""define internal void @wake(i64 %k) {{
entry:
  %there = icmp ult i64 %k, {count}
  br i1 %there, label %look, label %end
look:
  %helper = getelementptr [{HELPER} x i64], ptr {_word(words, WORDS)}, i64 %k
  %place = getelementptr i64, ptr %helper, i64 {SLEEPS}
  %sleeps = load atomic i64, ptr %place seq_cst, align 8
  %awake = icmp eq i64 %sleeps, 0
  br i1 %awake, label %end, label %claim
claim:
  %before = atomicrmw xchg ptr %place, i64 0 seq_cst
  %late = icmp eq i64 %before, 0
  br i1 %late, label %end, label %post
post:
  %semaphore = getelementptr i64, ptr %helper, i64 {SEMAPHORE}
  %posted = call i32 @sem_post(ptr %semaphore)
  br label %end
end:
  ret void
}}"""


def _work(words: int) -> str:
    """A helper's life."""
    ticket = _word(words, TICKET)
    return f"""define ptr @work(ptr %helper) {{
entry:
  %semaphore = getelementptr i64, ptr %helper, i64 {SEMAPHORE}
  %place = getelementptr i64, ptr %helper, i64 {SLEEPS}
  %here = ptrtoint ptr %helper to i64
  %offset = sub i64 %here, {words + 8 * WORDS}
  %k = udiv i64 %offset, {8 * HELPER}
  %twice = mul i64 %k, 2
  %one = add i64 %twice, 1
  %other = add i64 %twice, 2
  br label %begin
begin:
  br label %look
look:
  %looks = phi i64 [ 0, %begin ], [ %more, %idle ]
  %left = call i64 @claim()
  %none = icmp eq i64 %left, 0
  br i1 %none, label %idle, label %act
act:
  call void @wake(i64 %one)
  call void @wake(i64 %other)
  call void @run(i64 %left)
  br label %begin
idle:
  call void @pause()
  %more = add i64 %looks, 1
  %tired = icmp eq i64 %more, {LOOKS}
  br i1 %tired, label %rest, label %look
rest:
  %was = atomicrmw xchg ptr %place, i64 1 seq_cst
  %ticket = load atomic i64, ptr {ticket} seq_cst, align 8
  %now = and i64 %ticket, {COUNT}
  %nothing = icmp eq i64 %now, 0
  br i1 %nothing, label %sleep, label %rise
rise:
  %slept = atomicrmw xchg ptr %place, i64 0 seq_cst
  %called = icmp eq i64 %slept, 0
  br i1 %called, label %sleep, label %begin
sleep:
  %status = call i32 @sem_wait(ptr %semaphore)
  %woken = icmp eq i32 %status, 0
  br i1 %woken, label %begin, label %sleep
}}"""


def _share(count: int, words: int) -> str:
    """Divide a loop among the threads, and take part; alone if they are busy."""
    write = "\n".join([f"  store {kind} %{name}, ptr {_word(words, at)}" for name, (at, kind) in _OF_LOOPS.items()])
    wake = "\n".join([f"  call void @wake(i64 {k})" for k in (1, 2) if k < count])
    busy, left, ticket = [_word(words, place) for place in (BUSY, LEFT, TICKET)]
    return f"""define void @share(ptr %loop, ptr %table, i64 %rounds, ptr %sums, i64 %bytes) {{
entry:
  %taken = cmpxchg ptr {busy}, i64 0, i64 1 acquire monotonic
  %ours = extractvalue {{ i64, i1 }} %taken, 1
  %own = icmp ugt i64 %bytes, 1
  %fewer = icmp ult i64 %rounds, {FINE * count}
  %fine = select i1 %fewer, i64 %rounds, i64 {FINE * count}
  %any = icmp ne i64 %fine, 0
  %some = select i1 %any, i64 %fine, i64 1
  %pieces = select i1 %own, i64 {count}, i64 %some
  br i1 %ours, label %together, label %alone
together:
{write}
  store i64 %pieces, ptr {left}
  %old = load i64, ptr {ticket}
  %number = add i64 %old, {COUNT + 1}
  %ticket = or i64 %number, %pieces
  %before = atomicrmw xchg ptr {ticket}, i64 %ticket seq_cst
{wake}
  br label %look
look:
  %left = call i64 @claim()
  %none = icmp eq i64 %left, 0
  br i1 %none, label %await, label %act
act:
  call void @run(i64 %left)
  br label %look
await:
  %looks = phi i64 [ 0, %look ], [ %more, %wait ], [ 0, %yield ]
  %others = load atomic i64, ptr {left} acquire, align 8
  %done = icmp eq i64 %others, 0
  br i1 %done, label %end, label %wait.or.yield
wait.or.yield:
  %more = add i64 %looks, 1
  %late = icmp eq i64 %more, {PATIENCE}
  br i1 %late, label %yield, label %wait
wait:
  call void @pause()
  br label %await
yield:
  %yielded = call i32 @sched_yield()
  br label %await
end:
  store atomic i64 0, ptr {busy} release, align 8
  ret void
alone:
  %k = phi i64 [ 0, %entry ], [ %next, %alone ]
  call void @piece(ptr %loop, ptr %table, i64 %rounds, ptr %sums, i64 %bytes, i64 %pieces, i64 %k)
  %next = add i64 %k, 1
  %finished = icmp uge i64 %next, %pieces
  br i1 %finished, label %back, label %alone
back:
  ret void
}}"""


def _pause() -> str:
    """A function that lets the processor's other threads go ahead for a moment."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        body = "declare void @llvm.x86.sse2.pause()\n", "  call void @llvm.x86.sse2.pause()\n"
    elif machine in ("aarch64", "arm64"):
        body = "declare void @llvm.aarch64.hint(i32)\n", "  call void @llvm.aarch64.hint(i32 1)\n"
    else:
        body = "", ""
    return f"{body[0]}define internal void @pause() {{\n{body[1]}  ret void\n}}"
