from typing import Any

import django_filters
from django.db.models import Count, Prefetch, Q, QuerySet, prefetch_related_objects
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import ADMINS, get_project, visible_projects
from accounts.api_access import DetailSerializer, ProjectObjectsView, named_by, refusals, user_of
from accounts.models import Membership, Role
from catalog import services
from catalog.models import (
    Concept,
    Dataset,
    Project,
    Term,
    TermMapping,
    TrainedModel,
    Vocabulary,
    VocabularyRelease,
)
from catalog.terms import search_terms
from catalog.vocabularies.entries import MAX_TERMS
from catalog.vocabularies.exchange import FORMATS
from catalog.vocabulary_selectors import NOW
from catalog.vocabulary_views import exported


class VocabularySerializer(serializers.ModelSerializer):
    owner = named_by("slug")
    term_count = serializers.IntegerField(read_only=True, help_text="Terms in use.")

    class Meta:
        model = Vocabulary
        fields = ["id", "slug", "version", "name", "source", "owner", "term_count"]
        read_only_fields = fields


class TermMappingSerializer(serializers.ModelSerializer):
    class Meta:
        model = TermMapping
        fields = ["system", "field", "value"]
        read_only_fields = fields


class TermSerializer(serializers.ModelSerializer):
    parent = named_by("code")  # type: ignore[assignment]
    mappings = TermMappingSerializer(many=True, read_only=True)

    class Meta:
        model = Term
        fields = [
            "code", "code_system", "name", "phrase", "category", "parent", "synonyms",
            "help_text", "retired", "mappings",
        ]  # fmt: skip
        read_only_fields = fields


class VocabularyReleaseSerializer(serializers.ModelSerializer):
    created_by = named_by("username")

    class Meta:
        model = VocabularyRelease
        fields = ["version", "note", "created", "created_by"]
        read_only_fields = fields


class VocabularyViewSet(viewsets.ReadOnlyModelViewSet):
    """The vocabularies that your projects use or own."""

    queryset = (
        Vocabulary.objects.select_related("owner")
        .annotate(term_count=Count("terms", filter=Q(terms__retired=False)))
        .order_by("name", "version", "pk")
    )
    serializer_class = VocabularySerializer

    def get_queryset(self) -> QuerySet[Vocabulary]:
        projects = visible_projects(self.request.user)
        mine = Q(pk__in=projects.values("vocabulary")) | Q(owner__in=projects.values("pk"))
        return super().get_queryset().filter(mine)

    @extend_schema(
        parameters=[
            OpenApiParameter("q", str, description="Words of a name, synonym, category or code."),
            OpenApiParameter(
                "retired", bool, description="True: the retired terms that labels may still have."
            ),
        ],
        responses=TermSerializer(many=True),
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def terms(self, request: Request, pk: str) -> Response:
        """Terms in use, the best match of `q` first; all of them without `q`."""
        vocabulary: Any = self.get_object()
        text = request.query_params.get("q", "")
        retired = request.query_params.get("retired", "").lower() == "true"
        found = search_terms(vocabulary, text, limit=MAX_TERMS, retired=retired)
        prefetch_related_objects(found, "mappings")
        return Response(TermSerializer(found, many=True).data)

    @extend_schema(responses=VocabularyReleaseSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def releases(self, request: Request, pk: str) -> Response:
        """The releases, latest first; `export` gives their terms."""
        found = self.get_object().releases.select_related("created_by")
        return Response(VocabularyReleaseSerializer(found, many=True).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("as", str, enum=list(FORMATS), description="Default: json."),
            OpenApiParameter("release", str, description="A version; without it the state now."),
        ],
        responses={(200, entry.media_type): OpenApiTypes.STR for entry in FORMATS.values()},
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def export(self, request: Request, pk: str) -> HttpResponse:
        """The vocabulary as a file, retired terms included; importing it gives it back."""
        key = request.query_params.get("as", "json")
        return exported(self.get_object(), key, request.query_params.get("release", NOW))


class ProjectSerializer(serializers.ModelSerializer):
    roles = serializers.SerializerMethodField(help_text="Your roles in the project.")

    class Meta:
        model = Project
        fields = ["slug", "name", "description", "vocabulary", "roles", "created"]
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(Role.choices)))
    def get_roles(self, project: Any) -> list[str]:
        return sorted(membership.role for membership in project.own_memberships)


class ProjectViewSet(viewsets.ReadOnlyModelViewSet):
    """The projects that you are a member of."""

    queryset = Project.objects.order_by("name", "pk")
    serializer_class = ProjectSerializer
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Project]:
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset()
        user = user_of(self.request)
        own = Prefetch(
            "memberships", Membership.objects.filter(user=user), to_attr="own_memberships"
        )
        return visible_projects(user).order_by("name", "pk").prefetch_related(own)


class PreprocessingSerializer(serializers.Serializer):
    """How the model wants its images; values are on the scale 0 to 1."""

    input_size = serializers.ListField(
        child=serializers.IntegerField(min_value=1), min_length=2, max_length=2,
        help_text="Height, width.",
    )  # fmt: skip
    channels = serializers.ChoiceField([1, 3])
    mean = serializers.ListField(child=serializers.FloatField(), help_text="One per channel.")
    std = serializers.ListField(child=serializers.FloatField(), help_text="One per channel.")
    channel_order = serializers.ChoiceField(["RGB", "BGR"], required=False)


@extend_schema_field(PreprocessingSerializer)
class PreprocessingField(serializers.JSONField):
    """JSON text inside a multipart form; the service checks the values."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            raise serializers.ValidationError("Send a JSON object.")
        return value


class ModelLayerSerializer(serializers.Serializer):
    """A layer that can be dissected, as the check of the model found it."""

    name = serializers.CharField()
    units = serializers.IntegerField()
    height = serializers.IntegerField()
    width = serializers.IntegerField()
    depth_index = serializers.IntegerField(help_text="Place in the order of execution.")
    is_head_input = serializers.BooleanField(
        help_text="Feeds average pooling and the last linear layer: contributions add up."
    )
    nonnegative = serializers.BooleanField()


class TrainedModelSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    preprocessing = PreprocessingField(read_only=True)
    layers = ModelLayerSerializer(many=True, read_only=True)

    class Meta:
        model = TrainedModel
        fields = [
            "id", "project", "name", "sha256", "class_names", "preprocessing", "layers", "state",
            "message", "created",
        ]  # fmt: skip
        read_only_fields = fields


class TrainedModelCreatedSerializer(TrainedModelSerializer):
    job = serializers.IntegerField(source="check_job", help_text="The job that checks it.")

    class Meta(TrainedModelSerializer.Meta):
        fields = [*TrainedModelSerializer.Meta.fields, "job"]
        read_only_fields = fields


class AddModelSerializer(serializers.Serializer):
    project = serializers.SlugField()
    name = serializers.CharField(max_length=120)
    file = serializers.FileField(help_text="A .pt2 file written by torch.export.save.")
    class_names = serializers.ListField(
        child=serializers.CharField(max_length=80),
        help_text="In the order of the outputs; repeat the field for each class.",
    )
    preprocessing = PreprocessingField(help_text="JSON text.")


class ProjectFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("project__slug", label="Slug of the project.")


class TrainedModelFilter(ProjectFilter):
    class Meta:
        model = TrainedModel
        fields = ["state", "sha256"]


class TrainedModelViewSet(
    ProjectObjectsView,
    mixins.RetrieveModelMixin,
    mixins.ListModelMixin,
    viewsets.GenericViewSet,
):
    queryset = TrainedModel.objects.select_related("project").order_by("-created", "-pk")
    serializer_class = TrainedModelSerializer
    filterset_class = TrainedModelFilter
    control_lookup = "control_of"
    parser_classes = (MultiPartParser,)

    @extend_schema(
        request=AddModelSerializer,
        responses={201: TrainedModelCreatedSerializer, 400: DetailSerializer},
    )
    def create(self, request: Request) -> Response:
        """Upload a model and queue its check (project admins)."""
        form = AddModelSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        user = user_of(request)
        with refusals(services.CatalogError):
            model, job = services.add_model(
                project=get_project(user, values["project"], *ADMINS),
                name=values["name"],
                file=values["file"],
                class_names=values["class_names"],
                preprocessing=values["preprocessing"],
                user=user,
            )
        model.check_job = job.pk  # type: ignore[attr-defined]
        return Response(TrainedModelCreatedSerializer(model).data, status.HTTP_201_CREATED)


class ConceptSerializer(serializers.ModelSerializer):
    term = named_by("code")

    class Meta:
        model = Concept
        fields = ["key", "name", "category", "term"]
        read_only_fields = fields


class DatasetSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    concepts = ConceptSerializer(many=True, read_only=True)
    image_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Dataset
        fields = [
            "id", "project", "name", "description", "class_names", "state", "message",
            "image_count", "concepts", "created",
        ]  # fmt: skip
        read_only_fields = fields


class DatasetCreatedSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    job = serializers.IntegerField(source="import_job", help_text="The job that imports it.")

    class Meta:
        model = Dataset
        fields = ["id", "project", "name", "state", "created", "job"]
        read_only_fields = fields


class AddDatasetSerializer(serializers.Serializer):
    project = serializers.SlugField()
    name = serializers.CharField(max_length=120)
    archive = serializers.FileField(help_text="A zip archive; see docs/bring-your-own.md.")


class DatasetFilter(ProjectFilter):
    class Meta:
        model = Dataset
        fields = ["state"]


class DatasetViewSet(
    ProjectObjectsView,
    mixins.RetrieveModelMixin,
    mixins.ListModelMixin,
    viewsets.GenericViewSet,
):
    queryset = (
        Dataset.objects.select_related("project")
        .prefetch_related(Prefetch("concepts", Concept.objects.select_related("term")))
        .annotate(image_count=Count("images"))
        .order_by("-created", "-pk")
    )
    serializer_class = DatasetSerializer
    filterset_class = DatasetFilter
    parser_classes = (MultiPartParser,)

    @extend_schema(
        request=AddDatasetSerializer,
        responses={201: DatasetCreatedSerializer, 400: DetailSerializer},
    )
    def create(self, request: Request) -> Response:
        """Upload a zip archive of images and queue its import (project admins)."""
        form = AddDatasetSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        user = user_of(request)
        with refusals(services.CatalogError):
            dataset, job = services.add_dataset(
                project=get_project(user, values["project"], *ADMINS),
                name=values["name"],
                source=values["archive"],
                user=user,
            )
        dataset.import_job = job.pk  # type: ignore[attr-defined]
        return Response(DatasetCreatedSerializer(dataset).data, status.HTTP_201_CREATED)
