"""The instruction set, and the fields of the tables that the interpreter and the sweeps share.

An instruction is a run of int32 words: ``opcode | words << 8 | flags << 16``, a plan (an index into the
int64 pool of kernel descriptions, or a packed element count for inline opcodes), then operand ids, the
destination first. An id >= 0 indexes the address table; a negative one, ``~id`` into the constants.
"""

# --- instructions: inline float64 opcodes, for at most INLINE elements ------------------------------
SUM = 0
ADD = 1
SUB = 2
MUL = 3
DIV = 4
NEG = 5
COPY = 6
NOP = 7
# accumulating forms, destination += result
ACCUMULATE = 8
SUM_ACC = SUM + ACCUMULATE
MUL_ACC = MUL + ACCUMULATE
DIV_ACC = DIV + ACCUMULATE
NEG_ACC = NEG + ACCUMULATE
COPY_ACC = COPY + ACCUMULATE
ADD_ACC = ADD + ACCUMULATE
SUB_ACC = SUB + ACCUMULATE
# --- instructions with a plan ----------------------------------------------------------------------
LOOP = 16  # an inner loop over one or more dimensions
LOOP_ACC = LOOP + ACCUMULATE
GUFUNC = 17  # a generalised loop over a batch
ZERO = 18  # fill the destination's span with zero bytes
CALL = 19  # leave the interpreter: Python runs this one
GROUP = 20  # run the following instructions tile by tile
ALIAS = 21  # link time only: destination = operand's address + offset
END = 22
NATIVE = 23  # machine code of its own; the destination's address is the code's, the operand's the address table's

INLINE = 16  # elements
TILE = 1024  # elements
TILE_BYTES = 16 * TILE
SHARED = 32 * TILE  # elements from which on threads share what has as many
CHUNK = 512 * TILE  # elements of a group between two looks whether there is enough work done for now
OWN, CLEAN = 1, 2  # flags of a loop's plan: it accumulates by itself; its elements may be divided among threads
CUT = 8  # bits above which a plan's flags say 1 + the outer dimension that threads may divide; 0 if there is none
SCRATCH_TILES = 40  # temporaries of a tiled group; the last two are the interpreter's own

COUNT_BITS = 8  # inline plan: count | step_a << 8 | step_b << 9
STEP_A = 1 << COUNT_BITS
STEP_B = 2 << COUNT_BITS

# --- instruction flags (template only) ---------------------------------------------------------------
CONTRIBUTES = 1  # destination is an operand's cotangent: store first, accumulate after
ONLY_ACCUMULATES = 2  # the same, but the destination is zeroed first instead
FORWARDED = 8  # the next instruction only contributes this one's result: it may be written there straight away
IDENTITY = 4  # the contribution is the result's cotangent itself: may be passed on without a copy
LAST_READER = 16  # the last that reads the result's cotangent, element by element: may overwrite it

# --- rows -----------------------------------------------------------------------------------------------
SLOT_BITS = 22
SLOT_MASK = (1 << SLOT_BITS) - 1
SIGNATURE_SHIFT = 2 * SLOT_BITS

# --- fields of the signature table ----------------------------------------------------------------------
KIND, WIDTH, NIN, BYTES, BAR_BYTES, BAR_LOW, REQUIRES_GRAD, NEEDS = range(8)
FORWARD, FORWARD_LEN, FORWARD_TEMPS, FORWARD_NTEMPS = range(8, 12)
REVERSE, REVERSE_LEN, REVERSE_TEMPS, REVERSE_NTEMPS = range(12, 16)
BAR_COPY = 16  # template that adds a cotangent into a window of another
HAS_CALL = 18  # its forward leaves the interpreter: the row ends a stretch
FIELDS = 20

# --- kinds of rows -----------------------------------------------------------------------------------------
IMPORT = 0  # the value comes from outside the tape
KERNEL = 1  # a fresh result
WRITE = 2  # the result takes over operand 0's memory
WINDOW = 3  # a view whose cotangent is a window of its base's
VIEW = 4  # a view with a rule of its own
PATCHED = 5  # operand 0's memory after a window of it was written; operand 1 is what stands there now
WITH_OFFSET = (WINDOW, VIEW, PATCHED)  # the row's second word is an offset in bytes

# --- state of a cotangent in the reverse sweep ----------------------------------------------------------
NONE = 0
GIVEN = 1  # memory from outside, still empty
FULL = 2  # has a value, memory from outside or passed on: not ours to hand back
OWNED = 3  # has a value, memory from the pool
PART = 4  # a window of another cotangent
DONE = 5  # handed back or moved

# --- cotangents that somebody outside reads -------------------------------------------------------------
KEPT = 1
KEPT_UNVISITED = 2  # and the sweep ends there

# --- status of a sweep -----------------------------------------------------------------------------------------
FINISHED = 0
NEED_MEMORY = 1
NEED_TEMPLATE = 2
CALLED = 3
STALE = 4
FREED = 5
BAD_ROW = 6
LOOKED = 7  # between two stretches, so that Python can see to its signals

SHARE, PIECES, PARTS, ALLOCATE, RELEASE = range(243, 248)  # in `frame`: addresses for `sharing.py`, or zeros
WORK, START = 248, 249  # in `frame`: elements since the last look; the tile at which a group was left
LOOK = 1 << 22  # elements between two returns to Python, which cost a few microseconds

# --- sweep state: an int64 array that outlives each entry into compiled code ------------------------------------
POSITION, STATUS, DETAIL, DETAIL2, PC, CODE_LEN, MEMORY, MEMORY_END, TEMPS = range(9)
CURRENT = 9  # the first row that may not have run
UNREAD = 9  # in a reverse sweep: it has passed over a row that saved values
LAST, CAPACITY, TEMPS_CAPACITY, CODE_CAPACITY, N_SIGNATURES = range(10, 15)
N_IMPORTS = 15
# addresses of arrays
AT_TABLE, AT_TEMPLATES, AT_PLANS, AT_CONSTS = range(16, 20)
AT_CODE, AT_FRAME, AT_SCRATCH, AT_HEADS = range(20, 24)
AT_WORDS, AT_ADDR, AT_ROOT, AT_LAST_WRITE, AT_IMPORTS = range(24, 29)
AT_STARTS, AT_BAR, AT_KEPT, AT_WANTED, AT_FREED, AT_VALUES = range(29, 35)
STATE_USED = 35
STATE_FIELDS = 40

# --- the memory pool of a reverse sweep ------------------------------------------------------------------------------
CLASSES = 512  # size classes
HEADS = 65  # a count and up to 64 free blocks for each
