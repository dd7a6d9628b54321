from django.apps import AppConfig


class DissectionsConfig(AppConfig):
    name = "dissections"
