"""Print the JSON Schema of exported explanations, as docs/explanation.schema.json holds it."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from explanations.exports.schema import record_schema


class Command(BaseCommand):
    help = "Print the JSON Schema of exported explanations."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(record_schema(), ensure_ascii=False, indent=2))
