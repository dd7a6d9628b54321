"""The operators' admin opens for every kind of row, and changes no record."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import User
from annotation.agreement.consensus import accept_agreements
from annotation.services import save_label
from explanations.models import Calibration, Evaluation
from tests.platform.case_world import finished, world_with_cases

OURS = {"accounts", "annotation", "catalog", "dissections", "explanations", "jobs"}
EDITABLE = {"user", "project"}


@pytest.mark.django_db
def test_every_list_and_every_row_opens_and_only_people_and_projects_can_be_changed(
    client: Client,
) -> None:
    world = world_with_cases(images=3)
    finished(world)
    for who in ("expert1", "expert2"):
        save_label(
            user=world.people[who], model=world.model, layer_name="layer4", unit_index=0,
            recognisable="no",
        )  # fmt: skip
    accept_agreements(user=world.people["admin"], model=world.model, layer_name="layer4")
    facts = {"model": world.model, "dataset": world.dataset, "split": "test"}
    Calibration.objects.create(**facts, tested_split="test", temperature=1, report={})
    Evaluation.objects.create(
        **facts, project=world.project, layer=world.layer, labels={}, settings={}
    )
    client.force_login(User.objects.create_superuser("operator"))
    registered = [m for m in admin.site._registry if m._meta.app_label in OURS]
    assert {m._meta.app_label for m in registered} == OURS
    for model in registered:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert client.get(reverse(f"{name}_changelist")).status_code == 200, name
        row = model._default_manager.first()
        assert row is not None, name
        page = client.get(reverse(f"{name}_change", args=[row.pk]))
        assert page.status_code == 200, name
        can_save = 'name="_save"' in page.content.decode()
        assert can_save is (model._meta.model_name in EDITABLE), name


@pytest.mark.django_db
def test_the_admin_is_closed_to_members(client: Client) -> None:
    client.force_login(User.objects.create_user("somebody"))
    assert client.get("/admin/").status_code == 302
