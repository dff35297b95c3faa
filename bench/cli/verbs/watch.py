"""The verb that shows a study in a browser while it goes."""

from __future__ import annotations

from contextlib import suppress

import click

from bench.cli.shared import Roots, study_option
from bench.errors import EXIT_DONE


@click.command()
@study_option
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port [any that is free].")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in a browser.")
@click.pass_obj
def watch(roots: Roots, study: str | None, port: int, open_browser: bool) -> int:
    """Show a study's curves, samples and states in a browser.

    The page is for this machine alone (127.0.0.1), shows what changes by itself, and waits for the first run. Run
    folders are read and never written. From another machine: ssh -L 8080:127.0.0.1:PORT, then http://127.0.0.1:8080/
    """
    import webbrowser

    from bench.cli.console import Console
    from bench.watch.server import WatchServer
    from bench.watch.state import WatchedStudy

    name = roots.planned_study(study)
    if not (roots.runs / name / "plan.json").is_file():
        roots.read_config().study(name)  # refuses a name that no file knows either
    with WatchServer(WatchedStudy(roots.runs, name, roots.data), port) as server:
        Console().print(f'Watching "{name}" at {server.url} (this machine alone; Ctrl-C ends it)', soft_wrap=True)
        if open_browser:
            webbrowser.open(server.url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return EXIT_DONE
