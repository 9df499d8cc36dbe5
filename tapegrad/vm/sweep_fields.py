"""What the recorded reverse and its compiled half tell each other: see `tapegrad.vm.reversing`."""

# --- the state of a sweep ------------------------------------
AT = 0  # the row that is next, by its number
LENGTH = 1  # words of the tape
ROOM = 2  # words that there is room for
NEXT, WAITING = 3, 4  # contributions in the queue: the next one, and how many there are
SHARED = 5  # rows that share memory among those that were appended
REASON = 6
KEY = 7  # what was looked for, KEYS words; and behind that what was found for it, if anything was
KEYS = 5
LEARNT = KEY + KEYS
MOST_RULES, MOST_SUMS = 13, 14  # the last indices of the tables
ADDRESSES = 15  # of arrays, from here on
WORDS, STARTS, ROOT, TABLE, TRAITS, LEADS, TARGETS, WRITTEN, BARS, RULES, SUMS, POOL, FRAME, QUEUE = range(15, 29)
FIELDS = 29

# --- reasons for coming back ------------------------------------
FINISHED = 0
ROW = 1  # a row is to be carried through in Python
CONTRIBUTION = 2  # so is a contribution, the next one in the queue
FULL = 3

# --- traits of signatures ------------------------------------
TYPE = 0  # of the result, with its gradient flag
GRADS = 1  # which operands require a gradient, a bit each
COLUMNS = 2

MARGIN = 64  # words that there must be room for beyond what a rule leaves
ALWAYS = -1  # in the place of a rule: it must be asked each time
MOST_OPERANDS = 12
HELD = -1  # in the place of a cotangent's slot: it is no single row, and stands elsewhere
ENTRY = 6  # words of an entry in the tables: a key and what was learnt
