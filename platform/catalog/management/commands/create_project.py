from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import User
from catalog import services, vocabularies


class Command(BaseCommand):
    help = "Create a project that experts name units in with a vocabulary."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="part of the project's address, e.g. chest-study")
        parser.add_argument("--name", required=True)
        parser.add_argument("--description", default="")
        parser.add_argument(
            "--vocabulary",
            required=True,
            choices=vocabularies.available(),
            help="the terms that its experts choose from",
        )
        parser.add_argument("--admin", metavar="NAME", help="the account that manages it")

    def handle(self, *args: Any, **options: Any) -> None:
        admin = User.objects.filter(username=options["admin"]).first()
        if options["admin"] and admin is None:
            raise CommandError(
                f"There is no account “{options['admin']}”. Create it with "
                "`python manage.py createsuperuser` or in the Django admin."
            )
        try:
            with transaction.atomic():
                project = services.create_project(
                    slug=options["slug"],
                    name=options["name"],
                    description=options["description"],
                    vocabulary=vocabularies.load(options["vocabulary"]),
                    admin=admin,
                )
        except services.CatalogError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Created {project.name} (/p/{project.slug}/).")
