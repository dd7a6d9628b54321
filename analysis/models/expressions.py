"""Check the symbolic shape expressions of an exported graph before torch evaluates them.

`torch.export.load` passes each to `sympy.sympify`, which evaluates it as Python. They are parsed
here, not evaluated, and only arithmetic over shape symbols passes.
"""

import ast
import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAX_LENGTH = 4000
MAX_DEPTH = 40
MAX_INTEGER = 2**63
MAX_EXPONENT = 4

_SYMBOL = re.compile(r"[a-z]{1,4}[0-9]{1,9}")
_ASSUMPTIONS = frozenset({"integer", "positive", "nonnegative", "nonzero", "real", "finite"})
_FUNCTIONS = _words(
    """
    Add Mul Integer Max Min Mod FloorDiv CeilDiv CleanDiv PythonMod ModularIndexing
    IntTrueDiv CeilToInt FloorToInt TruncToInt RoundToInt ToFloat Identity Equality
    Unequality StrictGreaterThan StrictLessThan GreaterThan LessThan Eq Ne Gt Ge Lt Le And
    Or Not
    """
)
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)


def is_safe(expression: str) -> bool:
    """Whether `expression` is arithmetic or a comparison over integers and shape symbols."""
    if not 0 < len(expression) <= MAX_LENGTH:
        return False
    try:
        body = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return _safe(body, MAX_DEPTH)


def _safe(node: ast.expr, depth: int) -> bool:
    if depth == 0:
        return False
    match node:
        case ast.Constant(value=value):
            return type(value) is bool or (type(value) is int and abs(value) <= MAX_INTEGER)
        case ast.Name(id=name):
            return _SYMBOL.fullmatch(name) is not None
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _safe(operand, depth - 1)
        case ast.BinOp(op=operator, left=left, right=right) if isinstance(operator, _OPERATORS):
            return _safe(left, depth - 1) and _safe(right, depth - 1)
        case ast.Compare(left=left, comparators=[right]):
            return _safe(left, depth - 1) and _safe(right, depth - 1)
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=name)], keywords=facts):
            return (
                isinstance(name, str)
                and _SYMBOL.fullmatch(name) is not None
                and all(
                    fact.arg in _ASSUMPTIONS
                    and isinstance(fact.value, ast.Constant)
                    and type(fact.value.value) is bool
                    for fact in facts
                )
            )
        case ast.Call(func=ast.Name(id="Pow"), args=[base, exponent], keywords=[]):
            # A power of a power could grow past any memory, so the base holds none.
            return (
                not any(isinstance(part, ast.Name) and part.id == "Pow" for part in ast.walk(base))
                and _small_integer(exponent)
                and _safe(base, depth - 1)
            )
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return name in _FUNCTIONS and all(_safe(part, depth - 1) for part in arguments)
    return False


def _small_integer(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="Integer"), args=[inner], keywords=[]):
            return _small_integer(inner)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _small_integer(inner)
        case ast.Constant(value=value):
            return type(value) is int and value <= MAX_EXPONENT
    return False
