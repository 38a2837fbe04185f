"""`tool`: turn a plain function with a docstring into a tool.

    @tool
    def refund(payment: str, amount: Decimal) -> Refunded: ...

    @refund.undo
    def cancel(receipt: Refunded) -> None: ...

The decorated function can still be called. Errors are raised with file and line when the module is imported.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Generic, Literal, NoReturn, ParamSpec, TypeAlias, TypeVar, overload

from pydantic import BaseModel

from plangate.domain.plans.tool import LONGEST_SETTLEMENT, RetrySafety, ToolDeclaration
from plangate.settings import Settings
from plangate.tool.attached import Attached, attach
from plangate.tool.docstrings import read_docstring
from plangate.tool.function_tool import FunctionTool, Parts, function_tool
from plangate.tool.options import (
    check_known,
    checked_description,
    checked_identifying,
    checked_name,
    checked_receipt,
    checked_safety,
    checked_seconds,
    checked_switch,
    written_name,
)
from plangate.tool.places import plain_function, refuse, returned_by, source_location
from plangate.tool.returned import model_of, value_of
from plangate.tool.signature import KEY, check_kind, signature_of

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
Safety: TypeAlias = RetrySafety | Literal["look_up", "vendor_key", "unknowable", "by_call"]


class ToolFunction(Generic[P, R]):
    """A function that is a tool. Calling it calls the function.

    Its attributes are decorators that add abilities to the tool. The parameters of a decorated function are
    named like the tool's arguments, or like the values in brackets:

    - ``preview`` (observation): one sentence for the approver.
    - ``objection``: the reason why such a call is never allowed, or None.
    - ``observe``, ``still_holds`` (seen, now, receipts): the precondition.
    - ``undo`` (receipt, idempotency_key): undo the effect.
    - ``find_out``, ``find_out_undo`` (idempotency_key): whether a call that reported no result happened.
      Return the result of the call if it happened, None if it did not (never True or False), or raise
      `EffectUnknown`.
    - ``find_settlement`` (receipt, idempotency_key): how a call that returned `Accepted` ended. Return
      `Settled`, `Reversed`, or None while it is open.
    - ``lacks``: the missing setting, or None.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        retry_safety: Safety | None = None,
        seconds: int = 60,
        receipt: type[BaseModel] | None = None,
        reads_only: bool = False,
        identifying: Sequence[str] = (),
    ) -> None:
        check_kind(function, str(written_name(function) or repr(function)))
        self._function = function
        self._name = checked_name(function, name)
        said = read_docstring(plain_function(function).__doc__)
        self._description = checked_description(function, self._name, description, said.summary)
        self._safety = checked_safety(function, self._name, retry_safety)
        self._seconds = checked_seconds(function, self._name, seconds)
        self._reads_only = checked_switch(function, self._name, "reads_only", reads_only)
        signature = signature_of(function, self._name, said.arguments)
        self._arguments, self._wants_key = signature.arguments, signature.wants_key
        self._identifying = checked_identifying(
            function, self._name, identifying, tuple(self._arguments.model_fields)
        )
        self._returns = value_of(returned_by(function))
        self._receipt = checked_receipt(function, self._name, receipt) or model_of(self._returns)
        self._attached: dict[str, Attached] = {}
        self._settles_within: timedelta | None = None
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tool {self._name} of {self.place}>"

    @property
    def place(self) -> str:
        """The file and line of the function."""
        return source_location(self._function)

    # ---- attaching functions --------------------------------------------------------------------

    def preview(self, function: F) -> F:
        """Attach the function that returns the preview."""
        return self._attach("preview", function)

    def objection(self, function: F) -> F:
        """Attach the function that returns the reason why a call is never allowed, or None."""
        return self._attach("objection", function)

    def observe(self, function: F) -> F:
        """Attach the function that returns the data that the call depends on; it must not change anything."""
        return self._attach("observe", function)

    def still_holds(self, function: F) -> F:
        """Attach the function that returns whether the observation is still valid; default: it is equal."""
        return self._attach("still_holds", function)

    def undo(self, function: F) -> F:
        """Attach the function that undoes the effect."""
        return self._attach("undo", function)

    def find_out(self, function: F) -> F:
        """Attach the function that looks up whether a call happened."""
        return self._attach("find_out", function)

    def find_out_undo(self, function: F) -> F:
        """Attach the function that looks up whether an undo happened."""
        return self._attach("find_out_undo", function)

    def find_settlement(
        self, function: Callable[..., Any] | None = None, /, *, settles_within: timedelta | None = None
    ) -> Callable[[F], F]:
        """Attach the function that looks up the outcome of an accepted call, and set for how long."""
        if function is not None:
            refuse(
                function,
                self._name,
                "find_settlement needs settles_within; write "
                f"@{self._name}.find_settlement(settles_within=timedelta(days=5)), for example.",
            )
        return lambda function: self._attach_settlement(function, settles_within)

    def lacks(self, function: F) -> F:
        """Attach the function that returns which setting is missing, or None."""
        return self._attach("lacks", function)

    # ---- the tool -------------------------------------------------------------------------------

    @property
    def declaration(self) -> ToolDeclaration:
        """The declaration of the function and everything attached to it.

        Raises:
            ToolInvalid: two parts contradict each other.
        """
        self._check_parts()
        return ToolDeclaration(
            name=self._name,
            description=self._description,
            arguments=self._arguments,
            retry_safety=self._retry_safety(),
            seconds=self._seconds,
            undoable="undo" in self._attached,
            receipt=None if self._reads_only else self._receipt,
            reads_only=self._reads_only,
            identifying=self._identifying,
        )

    def from_settings(self, settings: Settings | None = None) -> FunctionTool:  # noqa: ARG002  the protocol
        """Build the tool. The settings are not used, because the function reads its own."""
        act = Attached(self._function, dict.fromkeys(self._arguments.model_fields))
        if self._wants_key:
            act = Attached(self._function, {**act.asks, KEY: str})
        return function_tool(Parts(self.declaration, act, dict(self._attached), self._settles_within))

    # ---- checks ---------------------------------------------------------------------------------

    def _attach(self, kind: str, function: F) -> F:
        if kind in self._attached:
            refuse(function, self._name, f"it has two functions for {kind}; remove one.")
        self._attached[kind] = attach(kind, self._name, self._arguments, function)
        if kind in ("undo", "find_settlement"):
            self._check_receipt(kind, function)
        return function

    def _attach_settlement(self, function: F, within: object) -> F:
        if not isinstance(within, timedelta) or not timedelta() < within <= LONGEST_SETTLEMENT:
            refuse(
                function,
                self._name,
                f"settles_within={within!r} must be a timedelta of at most {LONGEST_SETTLEMENT.days} days.",
            )
        self._settles_within = within
        return self._attach("find_settlement", function)

    def _check_receipt(self, kind: str, function: Callable[..., Any]) -> None:
        """Check that receipts of this tool have the values that its undo and its look-up need."""
        asked = self._attached[kind].asks
        if "receipt" not in asked:
            return
        if self._returns in (None, type(None), str) and self._receipt is None:
            refuse(
                function,
                self._name,
                f"its {kind} asks for the receipt, which has no details; let the tool return a pydantic "
                "model, and name it in the return annotation.",
            )
        wanted = model_of(asked["receipt"])
        if wanted is not None and wanted is not self._receipt:
            has = self._receipt.__name__ if self._receipt else "no model"
            refuse(
                function,
                self._name,
                f"its {kind} expects a receipt of {wanted.__name__}, but the tool returns {has}; use the "
                "same model for both.",
            )

    def _retry_safety(self) -> RetrySafety:
        if self._safety is not None:
            return self._safety
        return RetrySafety.LOOK_UP if "find_out" in self._attached else RetrySafety.UNKNOWABLE

    def _check_parts(self) -> None:
        acts = set(self._attached) - {"objection", "lacks"}
        if self._reads_only and (acts or self._safety or self._wants_key):
            what = next(iter(sorted(acts)), "retry_safety" if self._safety else KEY)
            self._refuse(f"it only reads, so {what} has no effect; remove it, or reads_only.")
        safety, finds_out = self._retry_safety(), "find_out" in self._attached
        if safety in (RetrySafety.LOOK_UP, RetrySafety.BY_CALL) and not finds_out:
            self._refuse(f"its retry safety needs a look-up; add one with @{self._name}.find_out.")
        if safety is RetrySafety.UNKNOWABLE and finds_out:
            self._refuse("its results are declared unknowable, but it has a look-up; remove one of the two.")
        if safety is RetrySafety.VENDOR_KEY and not self._wants_key:
            self._refuse(f"its retry safety needs the argument {KEY}: str, to be sent to the vendor.")
        for kind, needed in (("still_holds", "observe"), ("find_out_undo", "undo")):
            if kind in self._attached and needed not in self._attached:
                self._refuse(f"{kind} needs {needed}; add it with @{self._name}.{needed}.")

    def _refuse(self, problem: str) -> NoReturn:
        refuse(self._function, self._name, problem)


@overload
def tool(function: Callable[P, R], /) -> ToolFunction[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    retry_safety: Safety | None = None,
    seconds: int = 60,
    receipt: type[BaseModel] | None = None,
    reads_only: bool = False,
    identifying: Sequence[str] = (),
) -> Callable[[Callable[P, R]], ToolFunction[P, R]]: ...


def tool(function: Any = None, /, **options: Any) -> Any:
    """Turn a function into a tool, with arguments from its signature and a description from its docstring.

    Args:
        function: plain or async; also a bound method, a partial or a callable object.
        options: ``name`` (default: the function's), ``description`` (default: the first paragraph of its
            docstring), ``retry_safety`` (default: looked up if there is a ``find_out``, otherwise
            unknowable), ``seconds`` (the time limit of one call, 60), ``receipt`` (the model of the receipt's
            details;
            default: the one in the return annotation), ``reads_only`` (the function changes nothing:
            planners call it while drafting; it cannot be a step) and ``identifying`` (two calls are
            duplicates if these arguments are equal; default: all).

    Raises:
        ToolInvalid: the function cannot become a tool; the message has file and line, and explains what to
            do.
    """

    def decorate(decorated: Any) -> Any:
        check_known(decorated, options, ToolFunction.__init__.__kwdefaults__ or ())
        return ToolFunction(decorated, **options)

    return decorate if function is None else decorate(function)
