from typing import Any

import django_filters
from rest_framework import serializers, viewsets

from accounts.api_access import ProjectObjectsView, named_by, user_of
from explanations.evaluation.selectors import readable_result, sees_names
from explanations.models import Calibration, Evaluation


class EvaluationSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    layer_name = serializers.CharField(source="layer.name", read_only=True)

    class Meta:
        model = Evaluation
        fields = [
            "id", "project", "model", "layer", "layer_name", "dataset", "split", "reference",
            "labels_digest", "settings", "code_version", "job", "created", "completed",
        ]  # fmt: skip
        read_only_fields = fields


class EvaluationDetailSerializer(EvaluationSerializer):
    """`result` is null until the worker has finished. An expert who still labels the layer gets it
    without single terms: answers are given blind."""

    result = serializers.SerializerMethodField(
        help_text="Estimates with 95 % intervals over patients, beside their controls."
    )

    class Meta(EvaluationSerializer.Meta):
        fields = [*EvaluationSerializer.Meta.fields, "result"]
        read_only_fields = fields

    def get_result(self, evaluation: Evaluation) -> dict[str, Any] | None:
        if not evaluation.completed:
            return None
        names = sees_names(user_of(self.context["request"]), evaluation)
        return readable_result(evaluation, names=names)


class EvaluationFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("project__slug", label="Slug of the project.")

    class Meta:
        model = Evaluation
        fields = ["model", "layer", "dataset", "split"]


class EvaluationViewSet(ProjectObjectsView, viewsets.ReadOnlyModelViewSet):
    """How well explanations agree with reports or masks."""

    queryset = Evaluation.objects.select_related("project", "model", "layer").order_by(
        "-created", "-pk"
    )
    filterset_class = EvaluationFilter

    def get_serializer_class(self) -> type[EvaluationSerializer]:
        return EvaluationSerializer if self.action == "list" else EvaluationDetailSerializer


class CalibrationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Calibration
        fields = [
            "id", "model", "dataset", "split", "tested_split", "temperature", "report", "created",
        ]  # fmt: skip
        read_only_fields = fields


class CalibrationViewSet(ProjectObjectsView, viewsets.ReadOnlyModelViewSet):
    """Temperatures that make models' probabilities mean what they say."""

    queryset = Calibration.objects.order_by("-created", "-pk")
    serializer_class = CalibrationSerializer
    filterset_fields = ["model", "dataset"]
    project_lookup = "model__project"
