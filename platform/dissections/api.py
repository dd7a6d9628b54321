from typing import Any

import django_filters
from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import ADMINS, get_project
from accounts.api_access import DetailSerializer, ProjectObjectsView, named_by, refusals, user_of
from annotation import selectors as annotation
from catalog.models import Split
from catalog.selectors import own_models
from dissections.models import ConceptScore, Dissection, Layer, TopPatch, Unit
from dissections.services import DissectionRequestError, start_dissection


@extend_schema_field(
    serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
)
class SkippedField(serializers.JSONField):
    """[image name, reason] of each image that could not be read."""


class DissectionSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    skipped = SkippedField(read_only=True)

    class Meta:
        model = Dissection
        fields = [
            "id", "project", "model", "dataset", "layer_names", "splits", "settings",
            "image_count", "skipped", "job", "created", "completed",
        ]  # fmt: skip
        read_only_fields = fields


class StartDissectionSerializer(serializers.Serializer):
    project = serializers.SlugField()
    model = serializers.IntegerField()
    dataset = serializers.IntegerField()
    layers = serializers.ListField(child=serializers.CharField(), allow_empty=False)
    splits = serializers.ListField(
        child=serializers.ChoiceField(Split.choices), default=[Split.VALIDATION], allow_empty=False
    )


class DissectionFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("project__slug", label="Slug of the project.")

    class Meta:
        model = Dissection
        fields = ["model", "dataset"]


class DissectionViewSet(
    ProjectObjectsView,
    mixins.RetrieveModelMixin,
    mixins.ListModelMixin,
    viewsets.GenericViewSet,
):
    queryset = Dissection.objects.select_related("project").order_by("-created", "-pk")
    serializer_class = DissectionSerializer
    filterset_class = DissectionFilter
    control_lookup = "model__control_of"

    @extend_schema(
        request=StartDissectionSerializer,
        responses={201: DissectionSerializer, 400: DetailSerializer},
    )
    def create(self, request: Request) -> Response:
        """Queue a dissection of a model's layers over a dataset (project admins)."""
        form = StartDissectionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        user = user_of(request)
        project = get_project(user, values["project"], *ADMINS)
        with refusals(DissectionRequestError):
            dissection = start_dissection(
                project=project,
                model=get_object_or_404(own_models(project), pk=values["model"]),
                dataset=get_object_or_404(project.datasets.all(), pk=values["dataset"]),
                layers=values["layers"],
                splits=values["splits"],
                user=user,
            )
        return Response(DissectionSerializer(dissection).data, status.HTTP_201_CREATED)


class LayerSerializer(serializers.ModelSerializer):
    class Meta:
        model = Layer
        fields = [
            "id", "dissection", "name", "position", "height", "width", "unit_count",
            "is_head_input", "influence_method",
        ]  # fmt: skip
        read_only_fields = fields


class LayerFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("dissection__project__slug", label="Slug of the project.")

    class Meta:
        model = Layer
        fields = ["dissection"]


class LayerViewSet(ProjectObjectsView, viewsets.ReadOnlyModelViewSet):
    """Layers of completed dissections."""

    queryset = Layer.objects.filter(dissection__completed__isnull=False).order_by(
        "-dissection", "-position", "pk"
    )
    serializer_class = LayerSerializer
    filterset_class = LayerFilter
    project_lookup = "dissection__project"
    control_lookup = "dissection__model__control_of"


class UnitResultsSerializer(serializers.ModelSerializer):
    """What the computer says about a unit."""

    best_concept = named_by("key")

    class Meta:
        model = Unit
        fields = [
            "threshold", "mean", "maximum", "active_fraction", "selectivity", "class_means",
            "influence", "best_concept", "best_iou",
        ]  # fmt: skip
        read_only_fields = fields


class ConceptScoreSerializer(serializers.ModelSerializer):
    concept = named_by("key")

    class Meta:
        model = ConceptScore
        fields = ["concept", "iou", "iou_chance"]
        read_only_fields = fields


class TopPatchSerializer(serializers.ModelSerializer):
    image_name = serializers.CharField(source="image.name", read_only=True)

    class Meta:
        model = TopPatch
        fields = ["rank", "image", "image_name", "value", "row", "column"]
        read_only_fields = fields


class UnitDetailResultsSerializer(UnitResultsSerializer):
    concept_scores = ConceptScoreSerializer(many=True, read_only=True)

    class Meta(UnitResultsSerializer.Meta):
        fields = [*UnitResultsSerializer.Meta.fields, "concept_scores"]
        read_only_fields = fields


class UnitSerializer(serializers.ModelSerializer):
    """`results` is null for an expert who has not answered the unit yet: answers are given blind.

    The context holds `sees`, a function that says so for a unit.
    """

    label = serializers.CharField(  # type: ignore[assignment]
        read_only=True, help_text="The index as people see it."
    )
    results = serializers.SerializerMethodField()

    class Meta:
        model = Unit
        fields = ["id", "layer", "index", "label", "results"]
        read_only_fields = fields

    @extend_schema_field(UnitResultsSerializer(allow_null=True))
    def get_results(self, unit: Unit) -> Any:
        return UnitResultsSerializer(unit).data if self.context["sees"](unit) else None


class UnitDetailSerializer(UnitSerializer):
    top_patches = TopPatchSerializer(many=True, read_only=True)

    class Meta(UnitSerializer.Meta):
        fields = [*UnitSerializer.Meta.fields, "top_patches"]
        read_only_fields = fields

    @extend_schema_field(UnitDetailResultsSerializer(allow_null=True))
    def get_results(self, unit: Unit) -> Any:
        return UnitDetailResultsSerializer(unit).data if self.context["sees"](unit) else None


class UnitFilter(django_filters.FilterSet):
    layer = django_filters.NumberFilter(
        "layer", required=True, label="Id of the layer; always needed."
    )


class UnitViewSet(ProjectObjectsView, viewsets.ReadOnlyModelViewSet):
    """Units of a layer, by their 0-based index. A single unit also has its scores and patches."""

    queryset = (
        Unit.objects.filter(layer__dissection__completed__isnull=False)
        .select_related("layer__dissection__model__project", "best_concept")
        .order_by("layer", "index")
    )
    filterset_class = UnitFilter
    project_lookup = "layer__dissection__project"
    control_lookup = "layer__dissection__model__control_of"

    def get_queryset(self) -> Any:
        units = super().get_queryset()
        if self.action == "list":
            return units
        return units.prefetch_related(
            Prefetch("concept_scores", ConceptScore.objects.select_related("concept")),
            Prefetch("top_patches", TopPatch.objects.select_related("image")),
        )

    def get_serializer_class(self) -> type[UnitSerializer]:
        return UnitSerializer if self.action == "list" else UnitDetailSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "sees": _Sight(self.request)}

    def filter_queryset(self, queryset: Any) -> Any:
        """The layer is needed for lists; a single unit is found by its id alone."""
        return super().filter_queryset(queryset) if self.action == "list" else queryset


class _Sight:
    """Says whether the reader may see the results on a unit; asks the database once per layer."""

    def __init__(self, request: Request) -> None:
        self._user = user_of(request)
        self._by_layer: dict[int, tuple[annotation.Reader, set[int]]] = {}

    def __call__(self, unit: Unit) -> bool:
        layer = unit.layer
        if layer.pk not in self._by_layer:
            model = layer.dissection.model
            self._by_layer[layer.pk] = (
                annotation.reader(self._user, model.project),
                annotation.answered_indexes(self._user, model, layer.name),
            )
        reader, answered = self._by_layer[layer.pk]
        return reader.sees_results(unit.index in answered)
