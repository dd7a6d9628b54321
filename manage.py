#!/usr/bin/env python3
"""Unitscope's command line: `python manage.py help` lists what it can do."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "unitscope.settings")


def main() -> None:
    from unitscope.embedded import ServiceError, provide_services

    try:
        with provide_services(sys.argv):
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    except ServiceError as error:
        sys.exit(f"Unitscope cannot start: {error}")
    except ImportError as error:
        if ".so" not in str(error):
            raise
        sys.exit(
            f"Unitscope cannot start: a system library is missing ({error}). Install the package "
            "of your system that holds it, then run the command again."
        )


if __name__ == "__main__":
    main()
