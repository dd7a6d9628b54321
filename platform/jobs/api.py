import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import ADMINS, require
from accounts.api_access import DetailSerializer, ProjectObjectsView, named_by, user_of
from jobs import services
from jobs.models import Job


class JobSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    percent = serializers.IntegerField(read_only=True)
    created_by = named_by("username")

    class Meta:
        model = Job
        fields = [
            "id", "project", "parent", "kind", "title", "target_id", "state", "cancel_requested",
            "stage", "done", "total", "percent", "error", "attempt", "created_by", "created",
            "started", "finished",
        ]  # fmt: skip
        read_only_fields = fields


class JobDetailSerializer(JobSerializer):
    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "log"]
        read_only_fields = fields


class JobFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("project__slug", label="Slug of the project.")

    is_part = django_filters.BooleanFilter(
        "parent", "isnull", exclude=True, label="Parts of other jobs, or whole jobs only."
    )

    class Meta:
        model = Job
        fields = ["kind", "state", "target_id", "parent"]


class JobStateError(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "wrong_state"


class JobViewSet(ProjectObjectsView, viewsets.ReadOnlyModelViewSet):
    queryset = Job.objects.select_related("project", "created_by").order_by("-created", "-pk")
    filterset_class = JobFilter

    def get_serializer_class(self) -> type[JobSerializer]:
        return JobSerializer if self.action == "list" else JobDetailSerializer

    @extend_schema(request=None, responses={200: JobDetailSerializer, 409: DetailSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop a queued job at once and a running one soon (project admins)."""
        job = self._steerable()
        try:
            services.cancel(job=job)
        except services.JobError as error:
            raise JobStateError(str(error)) from error
        return Response(self.get_serializer(job).data)

    @extend_schema(request=None, responses={200: JobDetailSerializer, 409: DetailSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Queue a failed or cancelled job again (project admins)."""
        job = self._steerable()
        try:
            services.retry(job=job)
        except services.JobError as error:
            raise JobStateError(str(error)) from error
        return Response(self.get_serializer(job).data)

    def _steerable(self) -> Job:
        job: Job = self.get_object()
        require(user_of(self.request), job.project, *ADMINS)
        return job
