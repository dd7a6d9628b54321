from django.contrib import admin

from jobs.models import Job
from unitscope.admin_read_only import ReadOnlyAdmin


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["title", "project", "kind", "state", "created", "started", "finished"]
    list_filter = ["state", "kind", "project"]
    list_select_related = ["project"]
    search_fields = ["title", "error"]
