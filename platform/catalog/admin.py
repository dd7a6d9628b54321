from django.contrib import admin

from accounts.models import Membership
from catalog.models import Dataset, Image, Project, Term, TrainedModel, Vocabulary
from unitscope.admin_read_only import ReadOnlyAdmin


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 1
    autocomplete_fields = ["user"]


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "vocabulary", "created"]
    search_fields = ["name", "slug"]
    inlines = [MembershipInline]


@admin.register(Vocabulary)
class VocabularyAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "version"]


@admin.register(Term)
class TermAdmin(ReadOnlyAdmin):
    list_display = ["name", "code", "category", "vocabulary", "retired"]
    list_filter = ["vocabulary", "retired", "category"]
    list_select_related = ["vocabulary"]
    search_fields = ["name", "code"]


@admin.register(TrainedModel)
class TrainedModelAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "state", "sha256", "created"]
    list_filter = ["state", "project"]
    list_select_related = ["project"]


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "state", "created"]
    list_filter = ["state", "project"]
    list_select_related = ["project"]


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    list_display = ["name", "dataset", "patient", "split"]
    list_filter = ["split", "dataset"]
    list_select_related = ["dataset"]
    search_fields = ["name", "patient"]
