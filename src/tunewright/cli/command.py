"""One signature for a command and its function: `@command` makes the options from it.

Parameters whose annotation holds a `typer.Option` or `typer.Argument` can be typed; the others are
Python's alone. Commands that share parameters take `**options: Unpack[SomeTypedDict]`, whose keys
are parameters like the others. Of a union, the command line reads the first type. `--verbose`,
`--wide` and the switches belong to the command line alone.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from inspect import Parameter, Signature
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, TypeVar, Union, Unpack, cast, get_args, get_origin

import typer
from typer.core import TyperCommand
from typer.models import ArgumentInfo, OptionInfo

from tunewright.cli.options import FOREIGN, Verbose, Wide, app, console, verbose_logs
from tunewright.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=Mapping[str, Any])

LAST = ("config", "config_dir", "config_name", "runs_dir")
"""Options that many commands have; `--help` lists them after a command's own."""
IN_PYTHON = "\n\nIn Python"
"""How the part of a docstring begins that `--help` leaves out."""


@dataclass(frozen=True)
class Switch:
    """An option of the command line alone: with it, another result is printed, or printed so.

    prints: as for `command`; of several switches the last one's holds. call: the function to call
    in place of the command's own, with those of the options that it has too. alone: whether other
    options than those are refused.
    """

    name: str
    help: str
    prints: str
    call: Callable[..., Any] | None = None
    alone: bool = False

    @property
    def option(self) -> str:
        """The option as it is typed."""
        return f"--{self.name.replace('_', '-')}"


JSON = Switch("json", "Print JSON.", "formatting:print_json")


def command(
    panel: str,
    *,
    prints: str = "",
    switches: Sequence[Switch] = (),
    guide_flags: bool = False,
    takes_script: bool = False,
    needs_words: bool = False,
    fails: Callable[[Any], bool] | None = None,
) -> Callable[[F], F]:
    """Register a function as the command of its name; return the function.

    prints: `module:function` in `cli.output`, called with the console and what was returned; empty
    for nothing. guide_flags: pass unknown options on among the words, since a recipe may know them.
    takes_script: what is typed after `--` are the words of a script's command, in `script`.
    needs_words: refuse an empty `*words`. fails: whether a result ends with exit code 1.
    """

    def register(function: F) -> F:
        _unpack_options(function)
        typed = _typed_parameters(function, needs_words)
        own = [parameter for parameter in typed if parameter.name not in LAST]
        shared = [parameter for parameter in typed if parameter.name in LAST]
        flags = [_flag(switch.name, Annotated[bool, _option(switch)]) for switch in switches]

        def run(**given: Any) -> None:
            chosen = [switch for switch in switches if given.pop(switch.name)]
            wide = given.pop("wide", None)
            verbose_logs(verbose := given.pop("verbose"))
            called = next((switch.call for switch in chosen if switch.call), function)
            for switch in chosen:
                if switch.call is not None and switch.alone:
                    _refuse_others(switch.option, switch.call, own, given)
            *_, printer = [prints, *(switch.prints for switch in chosen)]
            with _watch(called, verbose, to_stderr=bool(chosen)) as watch:
                result = _call(called, {**given, **watch})
            if printer:
                _printer(printer)(console(wide=wide), result)
            if fails is not None and fails(result):
                raise typer.Exit(1)

        flags += [_flag("wide", Wide)] if JSON in switches else []
        parameters = [*own, *flags, *shared, _flag("verbose", Verbose)]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        vars(run)["__signature__"] = Signature(parameters)
        app.command(
            function.__name__.replace("_", "-"),
            cls=_ScriptCommand if takes_script else None,
            help=inspect.cleandoc(function.__doc__ or "").partition(IN_PYTHON)[0],
            context_settings=FOREIGN if guide_flags else None,
            rich_help_panel=panel,
        )(run)
        _hide_options(function)
        return function

    return register


class _ScriptCommand(TyperCommand):
    """Takes the words after `--` as they are: they belong to a script, options and all."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:at])
        if args[at + 1 :]:
            ctx.params["script"] = args[at + 1 :]
        return rest


@dataclass(frozen=True)
class Default:
    """What a key of unpacked options is when it is not given; without it, None."""

    value: Any


def complete(function: Callable[..., Any], options: T) -> T:
    """Return the unpacked options of a call of a command with its defaults for the others.

    Raises TypeError for one that the command does not have.
    """
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    }
    for name in options:
        if name not in known:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}")
    return cast(T, known | dict(options))


def _unpack_options(function: Callable[..., Any]) -> None:
    """Put the keys of `**options: Unpack[...]` into the signature, as parameters of their own."""
    signature = inspect.signature(function)
    *others, last = signature.parameters.values()
    if get_origin(last.annotation) is not Unpack:
        return
    [options] = get_args(last.annotation)
    keys = {name: _plain(annotation) for name, annotation in options.__annotations__.items()}
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=_default(annotation), annotation=annotation)
        for name, annotation in keys.items()
    ]
    vars(function)["__signature__"] = signature.replace(parameters=[*others, *parameters])
    written = dict(function.__annotations__)
    del written[last.name]
    returned = {"return": written.pop("return")}
    function.__annotations__ = written | keys | returned


def _plain(annotation: Any) -> Any:
    """Return an annotation of a TypedDict as a function has it: one in quotes as text."""
    return annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation


def _default(annotation: Any) -> Any:
    named = (one.value for one in get_args(annotation) if isinstance(one, Default))
    return next(named, None)


def _hide_options(function: Callable[..., Any]) -> None:
    """Show a notebook the signature without what is said to Typer."""
    signature = inspect.signature(function)
    parameters = [
        one.replace(annotation=get_args(one.annotation)[0]) if _info(one.annotation) else one
        for one in signature.parameters.values()
    ]
    vars(function)["__signature__"] = signature.replace(parameters=parameters)


def option_names(function: Callable[..., Any]) -> list[str]:
    """Return the options that the signature of a command makes, without their dashes."""
    found = {name: _info(annotation) for name, annotation in function.__annotations__.items()}
    return [
        _option_name(name, info) for name, info in found.items() if isinstance(info, OptionInfo)
    ]


def _option_name(name: str, info: ArgumentInfo | OptionInfo | None) -> str:
    named = info.default if isinstance(info, OptionInfo) else None
    return named.lstrip("-") if isinstance(named, str) else name.replace("_", "-")


def _typed_parameters(function: Callable[..., Any], needs_words: bool) -> list[Parameter]:
    """Return the parameters that can be typed, as Typer understands them."""
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = function.__annotations__.get(name)
        info, default = _info(annotation), parameter.default
        if info is None:
            continue
        kind: Any = _first(get_args(annotation)[0])
        if parameter.kind is Parameter.VAR_POSITIONAL:
            kind, default = list[kind], Parameter.empty if needs_words else None
        elif default == ():
            default = None
        if default is None:
            kind = kind | None
        found.append(
            Parameter(
                name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
            )
        )
    return found


def _info(annotation: Any) -> ArgumentInfo | OptionInfo | None:
    """Return what an annotation says to Typer."""
    of_typer = (one for one in get_args(annotation) if isinstance(one, ArgumentInfo | OptionInfo))
    return next(of_typer, None) if get_origin(annotation) is Annotated else None


def _first(annotation: Any) -> Any:
    """Return the type that the command line reads: of a union the first one, of lists a list."""
    if get_origin(annotation) in (Union, UnionType):
        return _first(next(one for one in get_args(annotation) if one is not NoneType))
    if get_origin(annotation) is Sequence:
        return list[_first(get_args(annotation)[0])]  # type: ignore[misc]
    return annotation


def _refuse_others(
    switch: str, called: Callable[..., Any], own: Sequence[Parameter], given: Mapping[str, Any]
) -> None:
    """Raise UsageError for a typed option that the function of a switch does not have."""
    known = inspect.signature(called).parameters
    for parameter in own:
        typed = given[parameter.name]
        if parameter.name not in known and typed and typed != parameter.default:
            option = _option_name(parameter.name, _info(parameter.annotation))
            raise UsageError(
                f"--{option} with {switch}",
                expected=f"one of them: {switch} has no use for it",
            )


def _flag(name: str, annotation: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=annotation)


def _option(switch: Switch) -> Any:
    return typer.Option(switch.option, help=switch.help)


def _call(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call the function with those of the values that it has parameters for.

    An option that was not typed is left out, so that the default of the function holds.
    """
    words: list[Any] = []
    options: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in given:
            continue
        if parameter.kind is Parameter.VAR_POSITIONAL:
            words += given[name] or []
        elif parameter.kind is Parameter.POSITIONAL_OR_KEYWORD:
            words.append(given[name])
        elif given[name] is not None:
            options[name] = given[name]
    return function(*words, **options)


@contextmanager
def _watch(
    function: Callable[..., Any], verbose: bool, *, to_stderr: bool
) -> Iterator[dict[str, Any]]:
    """Draw the progress of a function that can be watched; yield what it is watched with."""
    if "watch" not in inspect.signature(function).parameters:
        yield {}
        return
    from tunewright.cli.output.screen import ScreenCallback

    with ScreenCallback(console(to_stderr=to_stderr), verbose=verbose) as watch:
        yield {"watch": watch}


def _printer(named: str) -> Callable[[Any, Any], None]:
    module, _, function = named.partition(":")
    found: Callable[[Any, Any], None] = getattr(
        import_module(f"tunewright.cli.output.{module}"), function
    )
    return found
