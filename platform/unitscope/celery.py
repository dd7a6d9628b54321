"""The Celery application. Jobs are rows in the database; Celery only carries their ids."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "unitscope.settings")

app = Celery("unitscope")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["workers"])
