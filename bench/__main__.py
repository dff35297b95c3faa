"""`bench` and `python -m bench`: runs a verb and turns every mistake into a message and an exit code."""

from __future__ import annotations

import os
import signal
import sys

from bench.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_WRONG_USAGE, BenchError


class _Terminated(BaseException):
    """SIGTERM arrived."""


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 some runs failed, 2 wrong usage, 130, 143."""
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    import click

    from bench.cli import bench

    def terminate(*_: object) -> None:
        raise _Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        result = bench.main(args=arguments, prog_name="bench", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except BenchError as error:
        return _tell(error.message, error.hint, error.exit_code)
    except click.UsageError as error:
        context = error.ctx.command_path if error.ctx else "bench"
        return _tell(error.format_message(), f"`{context} --help` shows what it takes.", EXIT_WRONG_USAGE)
    except click.ClickException as error:
        return _tell(error.format_message(), None, EXIT_WRONG_USAGE)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _tell("Interrupted.", "Type the same command again to go on.", EXIT_INTERRUPTED)
    except _Terminated:
        return _tell("Terminated.", "Type the same command again to go on.", EXIT_TERMINATED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _tell("Memory ran out.", "Close other programs, or lower the batch or the number of samples.", 1)
    except Exception as error:
        if os.environ.get("BENCH_TRACEBACK"):
            raise
        what = f"{type(error).__name__}: {error}"
        return _tell(
            f"bench met an error of its own: {what}", "Set BENCH_TRACEBACK=1 to see where; please report it.", 1
        )


def _tell(message: str, hint: str | None, code: int) -> int:
    lines = [f"bench: {message}", *([hint] if hint else [])]
    print("\n".join(lines), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
