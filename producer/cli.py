"""The `maskmill` command. Commands are imported when they are called, so that `--help` answers at once."""

from __future__ import annotations

import importlib
import sys

import click

from common.errors import MaskmillError, TransientError, UnfitError, UsageError

EXIT_FAILED, EXIT_USAGE, EXIT_UNFIT, EXIT_INTERRUPTED = 1, 2, 3, 130

_COMMANDS = {
    "run": ("producer.commands.run", "Do a whole job on this machine; no service is needed."),
    "enqueue": ("producer.commands.enqueue", "Send a job to the configured broker and database."),
    "worker": ("producer.commands.worker", "Work on the queues of the configured broker."),
    "status": ("producer.commands.status", "Show one job or all: states, speed, failures, time left."),
    "resume": ("producer.commands.resume", "Send again whatever is not final."),
    "retry": ("producer.commands.retry", "Try failed or missed images again."),
    "cancel": ("producer.commands.cancel", "Stop a job; it can be resumed."),
    "reconcile": ("producer.commands.reconcile", "Look after all jobs: repair, feed, finish."),
    "segment": ("producer.commands.segment", "Make a map of every face: which pixels belong to it."),
    "export": ("producer.commands.export", "Write the results of a job out of SQL."),
    "ingest-faces": ("producer.commands.ingest_faces", "Rebuild rows from a folder of crops."),
    "meta": ("producer.commands.meta", "Show and change the records inside picture files."),
    "jobs": ("producer.commands.jobs", "Remove the rows of old jobs."),
    "frames": ("producer.commands.frames", "Show one image or frame of an input."),
    "video": ("producer.commands.video", "Count the frames of a video."),
    "identity": ("producer.commands.identity", "Show reference pictures and what was decided by them."),
    "models": ("producer.commands.models", "List, fetch and verify the model files."),
    "db": ("producer.commands.db", "Upgrade or check the configured database."),
    "flower": ("producer.commands.flower", "Show workers and tasks in a browser."),
    "metrics": ("producer.commands.metrics", "Serve Prometheus metrics."),
    "doctor": ("producer.commands.doctor", "Say what is missing on this machine, and how to mend it."),
    "bench": ("producer.commands.bench", "Measure the whole job, next to what this machine can do."),
    "demo": ("producer.commands.demo", "Run the whole job on a sample photograph."),
}


class LazyGroup(click.Group):
    """A group whose commands lie in modules that are imported when one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
        "max_content_width": 110,
    },
)
@click.version_option(package_name="maskmill", prog_name="maskmill")
def cli() -> None:
    """Turn folders of face photographs into training sets of masked faces."""


def main() -> None:
    """Run the command line; every foreseeable error becomes one sentence and an exit code."""
    try:
        code = cli.main(prog_name="maskmill", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        code = exc.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        print("maskmill: interrupted; the same command goes on where it stopped", file=sys.stderr)
        code = EXIT_INTERRUPTED
    except MaskmillError as exc:
        print(f"maskmill: {exc}", file=sys.stderr)
        codes = {UsageError: EXIT_USAGE, UnfitError: EXIT_UNFIT, TransientError: EXIT_UNFIT}
        code = next((code for kind, code in codes.items() if isinstance(exc, kind)), EXIT_FAILED)
    except BrokenPipeError:
        # The reader of our output is gone (`maskmill export … | head`).
        sys.stderr.close()
        code = EXIT_FAILED
    except Exception as exc:
        # Named by its module: `--help` should not import SQLAlchemy for an error that cannot come.
        if not type(exc).__module__.startswith("sqlalchemy"):
            raise
        from common.database import first_line

        print(f"maskmill: the database does not do its part: {first_line(exc)}", file=sys.stderr)
        code = EXIT_UNFIT
    sys.exit(code)


if __name__ == "__main__":
    main()
