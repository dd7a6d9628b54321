from django.contrib import admin

from dissections.models import Dissection, Layer
from unitscope.admin_read_only import ReadOnlyAdmin


@admin.register(Dissection)
class DissectionAdmin(ReadOnlyAdmin):
    list_display = ["id", "project", "model", "dataset", "image_count", "completed"]
    list_filter = ["project"]
    list_select_related = ["project", "model", "dataset"]


@admin.register(Layer)
class LayerAdmin(ReadOnlyAdmin):
    list_display = ["name", "dissection_id", "unit_count", "is_head_input", "influence_method"]
