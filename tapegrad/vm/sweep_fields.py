"""What the recorded reverse and its compiled half tell each other: see `tapegrad.vm.reversing`."""

# --- the state of a sweep ------------------------------------
AT = 0  # the row that is next, by its number
LENGTH, ROOM = 1, 2  # words of the tape, and those that there is room for
NEXT, WAITING = 3, 4  # contributions in the queue: the next one, and how many there are
SHARED = 5  # rows that share memory among those that were appended
REASON = 6
SHORT = 7  # whether there was no room for what a rule leaves
KEEPS = 8  # whether the row adds to a window of its first operand, which keeps its cotangent
GIVEN = 9  # slots in the frame
KEY = 10  # what was looked for, KEYS words; and behind that what was found for it, if anything was
KEYS = 5
LEARNT = KEY + KEYS
MOST_RULES = 16  # the last index of the table
PARTS_LENGTH, PARTS_ROOM = 17, 18  # words of cotangents that are no single row, and those that there is room for
CURSOR = 19
ADDRESSES = 20  # of arrays, from here on
WORDS, STARTS, ROOT, LAST_WRITE, TABLE, TRAITS, LEADS, TARGETS, KEPT = range(ADDRESSES, ADDRESSES + 9)
BARS, PARTS, RULES, POOL, FRAME, QUEUE = range(KEPT + 1, KEPT + 7)
FIELDS = QUEUE + 1

# --- reasons for coming back ------------------------------------
FINISHED = 0
ROW = 1  # a row is to be carried through in Python
CONTRIBUTION = 2  # so is a contribution, the next one in the queue

# --- traits of signatures ------------------------------------
TYPE = 0  # of the result, with its gradient flag
GRADS = 1  # which operands require a gradient, a bit each
STRIDES = 2  # of the window that a view is, or that was written
FLAGS = 3
COLUMNS = 4
ADDS = 1  # a write of a sum or difference of what stands there, first, and something else
PLAIN = 2  # a window that was written, of an array that is laid out as its cotangent is

# --- the first word of keys; of rows, that is the signature's index, one more -----------------------------
SUM, COMPLETE = -1, -2
KEEPING = 1 << 62  # beside the operands that are wanted

# --- a cotangent, but for a slot, one more ------------------------------------
HELD = -1  # it stands elsewhere
PARTED = -2  # so much less than its place among those that are no single row

# --- what a rule has for an operand -----------------------------
NOTHING, TENSOR, SEVERAL = range(3)

MARGIN = 64  # words that there must be room for beyond what a rule leaves
ALWAYS = -1  # in the place of a rule: it must be asked each time
MOST_OPERANDS = 12
MOST_GIVEN = 15  # slots that a rule may speak of
MOST_PARTS = 10  # of a cotangent, or it is held in Python
ENTRY = 6  # words of an entry in the table: a key and what was learnt
