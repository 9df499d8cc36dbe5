"""What simplifying rows asks of their signatures: the columns of a table, and what stands there."""

NUMBER = 0  # equal for signatures that do the same, whatever their gradient flags
RESULT = 1  # equal for signatures whose results have the same type
RULE = 2
MARKS = 3
COLUMNS = 4

# --- rules: which identity a row may fall under -------------------------------------------------------------
MULTIPLY, DIVIDE, ADD, SUBTRACT, NEGATIVE, ITSELF, AT_START = range(1, 8)

# --- marks ----------------------------------------------------------------------------------------------------
SWAPS = 1  # the operands may change places
FOLDS = 2  # it is computed at once where all its operands are constants, or is a view of a constant
SPREADS = 4  # its operands are broadcast anyway
BROADCASTS = 8
NEGATES = 16
FILLED = 32  # its result has elements

# --- constants -----------------------------------------------------------------------------------------------
GIVEN = 1  # an array that is there, or a view of a constant
COMPUTED = 2

# --- values of constants of one element, and of views of them -------------------------------------------------
ONE, MINUS_ONE, ZERO, MINUS_ZERO = range(1, 5)

# --- questions: which signature is a row's if ... -------------------------------------------------------------
BARE = 1  # an operand is not broadcast before
NEGATED = 2  # it negates an operand
DIFFERENCE = 3  # it adds what an operand is the negative of
SUM = 4  # it subtracts that
QUESTION, WHICH, SIGNATURE, TYPE, ANSWER = range(5)
"""Fields of a question: what is asked, of which operand, of which signature, which type it has then; the answer."""
ANSWERED = 4  # words of an answer in the table of answers: key, type, signature, and one more
