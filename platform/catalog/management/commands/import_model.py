from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from catalog import services
from jobs.following import JobCommand


def numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a list such as 0.5,0.5,0.5") from error


def size(text: str) -> list[int]:
    """Height x width."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a size such as 224x224") from error
    return [height, width]


class Command(JobCommand):
    help = "Add a trained classifier, exported with torch.export.save, to a project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, help="the .pt2 file")
        parser.add_argument("--name", required=True)
        parser.add_argument(
            "--classes", required=True, help="comma-separated, in the order of the outputs"
        )
        parser.add_argument(
            "--input-size", required=True, type=size, metavar="HxW", help="e.g. 224x224"
        )
        parser.add_argument("--channels", type=int, choices=(1, 3), default=3)
        parser.add_argument(
            "--mean", required=True, type=numbers, help="per channel, images scaled to 0..1"
        )
        parser.add_argument("--std", required=True, type=numbers, help="per channel")
        parser.add_argument("--channel-order", choices=("RGB", "BGR"), default="RGB")

    def handle(self, *args: Any, **options: Any) -> None:
        project = self.project(options["project"])
        user = self.user(options["user"])
        try:
            with options["file"].open("rb") as file:
                _, job = services.add_model(
                    project=project,
                    name=options["name"],
                    file=file,
                    class_names=options["classes"].split(","),
                    preprocessing={
                        "input_size": options["input_size"],
                        "channels": options["channels"],
                        "mean": options["mean"],
                        "std": options["std"],
                        "channel_order": options["channel_order"],
                    },
                    user=user,
                )
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from error
        except services.CatalogError as error:
            raise CommandError(str(error)) from error
        self.follow(job, wait=options["wait"])
