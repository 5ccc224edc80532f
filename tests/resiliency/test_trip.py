"""When a breaker trips: CEL's meaning of its expression, and CEL's words where it has none."""

from __future__ import annotations

import pytest

from dapr_state.resiliency import trip
from dapr_state.resiliency.trip import TripError

NEVER = 0
FED = 8  # failures

# (expression, the failure in a row that opens the breaker): what daprd 1.18 does
OPENS = [
    ("", 6),
    ("consecutiveFailures >= 2", 2),
    ("consecutiveFailures > 1.5", 2),
    ("consecutiveFailures > 2u", 3),
    ("consecutiveFailures > 0x2", 3),
    ("!(consecutiveFailures < 2)", 2),
    ("-consecutiveFailures < -1", 2),
    ("--consecutiveFailures > 1", 2),
    ("!!(consecutiveFailures > 1)", 2),
    ("consecutiveFailures > 1 ? true : false", 2),
    ("consecutiveFailures > 5 // comment", 6),
    ("consecutiveSuccesses == 0 && requests > 2", 3),
    ("true", 1),
    ("false", NEVER),
    ("5", NEVER),
    ("requests + 1", NEVER),
    ("foo > 1", NEVER),
    ("consecutivefailures > 0", NEVER),
    ("requests / totalSuccesses > 1", NEVER),
    ("requests % totalSuccesses > 1", NEVER),
    ("requests + 1.5 > 1", NEVER),
    ("requests - 2u < 1u", NEVER),
    ("requests > true", NEVER),
    ("requests ? true : true", NEVER),
    ("requests && true", NEVER),
    ("false && requests", NEVER),
    ("true || requests", 1),
    ("requests || true", 1),
    ("int(2.9) == consecutiveFailures", 2),
    ("totalFailures / requests > 0.5", 1),
    ("double(totalFailures) / double(requests) > 0.5", 1),
    ("requests >= 4 && totalFailures * 2 > requests", 4),
    ("totalFailures % 3 == 0", 3),
    ("consecutiveFailures in [3, 4]", 3),
    ("consecutiveFailures in [requests]", 1),
    ("!(consecutiveFailures in [])", 1),
    ("(consecutiveFailures) > (1 + 1)", 3),
    ("consecutiveFailures>1&&requests>1", 2),
    ("totalSuccesses < totalFailures", 1),
    ("consecutiveFailures > 0 || foo > 1", 1),
    ("foo > 1 || consecutiveFailures > 0", 1),
    ("consecutiveFailures > 9223372036854775807", NEVER),
    ("consecutiveFailures + 9223372036854775807 > 0", NEVER),
    ("uint(consecutiveFailures) - 2u > 0u", 3),
    ("consecutiveFailures - 4 * 2 / 3 >= -7 / 2 + 4", 3),
    ("1.0 / 0.0 > double(requests)", 1),
]
BEGINS = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)

# (expression, column, what daprd 1.18 says of it there)
REFUSED = [
    ("consecutiveFailures >", 22, f"Syntax error: mismatched input '<EOF>' expecting {BEGINS}"),
    ("> 5", 1, f"Syntax error: extraneous input '>' expecting {BEGINS}"),
    ("in > 1", 1, f"Syntax error: mismatched input 'in' expecting {BEGINS}"),
    ("  ", 3, f"Syntax error: mismatched input '<EOF>' expecting {BEGINS}"),
    ("consecutiveFailures > 5 &&", 27, f"Syntax error: mismatched input '<EOF>' expecting {BEGINS}"),
    ("consecutiveFailures > 1 and requests > 1", 25, "Syntax error: mismatched input 'and' expecting <EOF>"),
    ("consecutiveFailures > 1)", 24, "Syntax error: extraneous input ')' expecting <EOF>"),
    ("a b", 3, "Syntax error: extraneous input 'b' expecting <EOF>"),
    ("0x > 1", 2, "Syntax error: mismatched input 'x' expecting <EOF>"),
    ("(consecutiveFailures > 1", 25, "Syntax error: missing ')' at '<EOF>'"),
    ("[1,2", 5, "Syntax error: mismatched input '<EOF>' expecting {']', ','}"),
    ("consecutiveFailures > 5 ? true", 31, "Syntax error: mismatched input '<EOF>' expecting ':'"),
    ("consecutiveFailures > 5;", 24, "Syntax error: token recognition error at: ';'"),
    ("consecutiveFailures > $5", 23, "Syntax error: token recognition error at: '$'"),
    ("9223372036854775808 > 1", 1, "invalid int literal"),
    ("1 + true", 3, "found no matching overload for '_+_' applied to '(int, bool)'"),
    ("true > 1", 6, "found no matching overload for '_>_' applied to '(bool, int)'"),
    ("1 < 1.5", 3, "found no matching overload for '_<_' applied to '(int, double)'"),
    ("1u == 1", 4, "found no matching overload for '_==_' applied to '(uint, int)'"),
    ("!5", 1, "found no matching overload for '!_' applied to '(int)'"),
    ("-true", 1, "found no matching overload for '-_' applied to '(bool)'"),
    ("-1u < 1", 1, "found no matching overload for '-_' applied to '(uint)'"),
    ("5 ? true : false", 3, "found no matching overload for '_?_:_' applied to '(int, bool, bool)'"),
    ("true ? 1 : true", 6, "found no matching overload for '_?_:_' applied to '(bool, int, bool)'"),
    ("1 in [true]", 3, "found no matching overload for '@in' applied to '(int, list(bool))'"),
    ("(consecutiveFailures > 1) + 1", 27, "found no matching overload for '_+_' applied to '(bool, int)'"),
    ("true && 5", 9, "expected type 'bool' but found 'int'"),
    ("5 || consecutiveFailures > 1", 1, "expected type 'bool' but found 'int'"),
    ("int(true)", 4, "found no matching overload for 'int' applied to '(bool)'"),
    ("double()", 7, "found no matching overload for 'double' applied to '()'"),
    ("double(1,2)", 7, "found no matching overload for 'double' applied to '(int, int)'"),
    ("1.5 % 2.0 > 1", 5, "found no matching overload for '_%_' applied to '(double, double)'"),
    # of ours: daprd takes texts, and never starts with an unknown function
    ("requests > 'a'", 12, "a text has no place here: counts are compared with numbers"),
    ("requests == null", 13, "'null' has no place here: counts are compared with numbers"),
    ("max(requests) > 1", 4, "undeclared reference to 'max' (in container '')"),
]


@pytest.mark.parametrize(("expression", "failure"), OPENS)
def test_a_breaker_opens_when_its_expression_is_true(expression: str, failure: int) -> None:
    """Fed with failures alone it opens at the one that daprd opens at; what fails, or is no truth, never opens it."""
    rule = trip.parse(expression)
    counts = [
        {
            "requests": number,
            "totalSuccesses": 0,
            "totalFailures": number,
            "consecutiveSuccesses": 0,
            "consecutiveFailures": number,
        }
        for number in range(1, FED + 1)
    ]
    reached = [number for number, each in enumerate(counts, start=1) if rule.is_reached(each)]

    assert reached[:1] == [failure] * bool(failure)


@pytest.mark.parametrize(("expression", "column", "problem"), REFUSED)
def test_what_is_no_expression_is_told_with_its_place(expression: str, column: int, problem: str) -> None:
    """Line and column, CEL's reason, the line itself, and a mark below the place."""
    with pytest.raises(TripError) as caught:
        trip.parse(expression)

    assert str(caught.value).split("\n") == [
        f"ERROR: <input>:1:{column}: {problem}",
        f" | {expression}",
        f" | {'.' * (column - 1)}^",
    ]


def test_an_error_in_a_later_line_names_that_line() -> None:
    """The mark stands below the line that is wrong."""
    with pytest.raises(TripError) as caught:
        trip.parse("consecutiveFailures > 1 &&\n  ;")

    assert str(caught.value).endswith("2:3: Syntax error: token recognition error at: ';'\n |   ;\n | ..^")


def test_names_that_are_no_counts_are_told() -> None:
    """Who reads the file can warn: the expression itself is taken."""
    assert trip.parse("foo > 1 || requests > bar || foo > 2").unknown == ("foo", "bar")


@pytest.mark.parametrize(
    ("expression", "why"),
    [("(" * 200 + "true" + ")" * 200, "nested deeper"), ("[" * 500, "nested deeper"), ("1" * 2000, "longer than")],
)
def test_an_expression_without_measure_is_refused(expression: str, why: str) -> None:
    """Neither the stack nor the time of the process is at the mercy of a file."""
    with pytest.raises(TripError, match=why):
        trip.parse(expression)
