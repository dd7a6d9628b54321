from django.contrib import admin

from explanations.models import Calibration, Case, Evaluation, Explanation
from unitscope.admin_read_only import ReadOnlyAdmin


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    list_display = ["id", "project", "model", "image", "predicted"]
    list_filter = ["project", "model"]
    list_select_related = ["project", "model", "image"]
    search_fields = ["image__name", "image__patient"]


@admin.register(Explanation)
class ExplanationAdmin(ReadOnlyAdmin):
    list_display = ["id", "case_id", "layer_id", "target", "created", "completed"]


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ["id", "project", "model", "layer_id", "dataset", "split", "completed"]
    list_filter = ["project", "model"]
    list_select_related = ["project", "model", "dataset"]


@admin.register(Calibration)
class CalibrationAdmin(ReadOnlyAdmin):
    list_display = ["id", "model", "dataset", "split", "temperature", "created"]
    list_select_related = ["model", "dataset"]
