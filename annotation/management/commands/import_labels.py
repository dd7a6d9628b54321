from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts.models import User
from annotation.agreement.commands import ExchangeCommand
from annotation.agreement.importing import (
    ImportPlan,
    ImportRefusedError,
    import_table,
    plan_import,
)
from annotation.agreement.tables import TableError


class Command(ExchangeCommand):
    help = "Take in labels or consensus that export_labels wrote: all rows, or none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path)
        parser.add_argument("--user", metavar="NAME", help="the account that answers for it")
        parser.add_argument(
            "--replace",
            action="store_true",
            help="rows that differ from what is here replace it (its history is kept)",
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")

    def handle(self, *args: Any, **options: Any) -> None:
        what: dict[str, Any] = {
            "project": self.project(options["project"]),
            "kind": options["what"],
            "replace": options["replace"],
        }
        user = self._user(options["user"])
        try:
            what["data"] = options["file"].read_bytes()
            if options["dry_run"]:
                plan = plan_import(**what)
                self._say_refused(plan)
            else:
                plan = import_table(user=user, **what)
        except (OSError, TableError) as error:
            raise CommandError(str(error)) from error
        except ImportRefusedError as error:
            self._say_refused(error.plan)
            raise CommandError(str(error)) from error
        counts = ", ".join(f"{action} {count}" for action, count in plan.counts.items())
        self.stdout.write(f"{'Would do' if options['dry_run'] else 'Done'}: {counts}")

    def _user(self, name: str | None) -> User | None:
        user = User.objects.filter(username=name).first()
        if name and user is None:
            raise CommandError(f"There is no account “{name}”.")
        return user

    def _say_refused(self, plan: ImportPlan) -> None:
        for row in plan.refused:
            self.stderr.write(f"Row {row.number} ({row.where}): {row.message}")
