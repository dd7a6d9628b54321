from django.contrib import admin

from explanations.models import Case, Explanation
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
