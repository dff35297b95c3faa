"""`bench`, `ganbench` and `python -m bench`: run a verb, and turn every mistake into a message and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import TextIO

from bench.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_WRONG_USAGE, BenchError


class _Terminated(BaseException):
    """SIGTERM arrived."""


class _Output(io.TextIOWrapper):
    """A standard stream whose reader may leave, as `| head` does.

    What is printed after that is dropped. The verb goes on, and its exit code is what it would have been.
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Send what is still buffered, and what follows, nowhere: Python flushes the stream again when it ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 some runs failed, 2 wrong usage, 130, 143."""
    # Figures are drawn into files. A notebook sets MPLBACKEND to a backend of its own, which `!bench report` inherits
    # and may not have: matplotlib then cannot even be imported.
    os.environ["MPLBACKEND"] = "agg"
    sys.stdout, sys.stderr = _output(sys.stdout), _output(sys.stderr)
    called = Path(sys.argv[0]).stem
    sys.exit(run(program={"__main__": "python -m bench", "ganbench": "ganbench"}.get(called, "bench")))


def run(arguments: list[str] | None = None, program: str = "bench") -> int:
    """Run the command line and return the exit code. `program` is how it was called, for the commands in its hints."""
    import click

    from bench.cli import bench, completion_variable

    variable = completion_variable(program)
    if variable in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(bench, {}, program, variable, os.environ[variable])

    def terminate(*_: object) -> None:
        raise _Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        result = bench.main(args=arguments, prog_name=program, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except BenchError as error:
        return _tell(error.message, error.hint, error.exit_code)
    except click.UsageError as error:
        context = error.ctx.command_path if error.ctx else program
        return _tell(error.format_message(), f"`{context} --help` shows what it takes.", EXIT_WRONG_USAGE)
    except click.ClickException as error:
        return _tell(error.format_message(), None, EXIT_WRONG_USAGE)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _tell("Interrupted.", "Type the same command again to continue.", EXIT_INTERRUPTED)
    except _Terminated:
        return _tell("Terminated.", "Type the same command again to continue.", EXIT_TERMINATED)
    except MemoryError:
        return _tell("The memory is full.", "Close other programs, or lower the batch or the number of samples.", 1)
    except SystemExit as error:  # bench itself never calls sys.exit() in a verb
        return _tell(f"An objective's file called sys.exit({error.code!r}).", "Take that call out of it.", 1)
    except Exception as error:
        if os.environ.get("BENCH_TRACEBACK"):
            raise
        what = f"{type(error).__name__}: {error}"
        return _tell(
            f"This is a fault of bench itself: {what}", "BENCH_TRACEBACK=1 shows where it is. Please report it.", 1
        )


def _tell(message: str, hint: str | None, code: int) -> int:
    from bench.cli.text import say

    say("\n".join([f"bench: {message}", *([hint] if hint else [])]), err=True)
    return code


def _output(stream: TextIO) -> TextIO:
    """Return a standard stream as an _Output; as it is where it is closed or another program's replacement."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    # "replace": a file name that is not UTF-8 can be printed too.
    return _Output(stream.buffer, encoding=stream.encoding, errors="replace", line_buffering=stream.line_buffering)


if __name__ == "__main__":
    main()
