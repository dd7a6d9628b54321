from django.contrib import admin

from annotation.models import Consensus, Label, LabelRevision
from unitscope.admin_read_only import ReadOnlyAdmin


class RevisionInline(admin.TabularInline):
    model = LabelRevision
    extra = 0


@admin.register(Label)
class LabelAdmin(ReadOnlyAdmin):
    list_display = ["model", "layer_name", "unit_index", "author", "recognisable", "updated"]
    list_filter = ["model__project", "recognisable", "author"]
    list_select_related = ["model", "author"]
    inlines = [RevisionInline]


@admin.register(Consensus)
class ConsensusAdmin(ReadOnlyAdmin):
    list_display = [
        "model", "layer_name", "unit_index", "number", "recognisable", "source", "decided_by",
        "created",
    ]  # fmt: skip
    list_filter = ["model__project", "source", "decided_by"]
    list_select_related = ["model", "decided_by"]
