from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from annotation.agreement.commands import ExchangeCommand
from annotation.agreement.exporting import Format, export


class Command(ExchangeCommand):
    help = "Write a project's labels, or the consensus that stands, as CSV or JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--format", choices=[*Format], default=Format.CSV, type=Format, dest="file_format"
        )
        parser.add_argument("--output", type=Path, help="the file to write; else standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        project = self.project(options["project"])
        text = export(project, options["what"], options["file_format"])
        if options["output"] is None:
            self.stdout.write(text, ending="")
        else:
            options["output"].write_text(text, encoding="utf-8", newline="")
            self.stderr.write(f"Wrote the {options['what']} of {project} to {options['output']}.")
