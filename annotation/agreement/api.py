from typing import Any

import django_filters
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import ADMINS, LABELLERS, get_project
from accounts.api_access import DetailSerializer, ProjectObjectsView, named_by, refusals, user_of
from accounts.models import Membership
from annotation.agreement.access import SETTLERS, answered_layers
from annotation.agreement.answers import layer_answers
from annotation.agreement.exchange_views import CONTENT_TYPES
from annotation.agreement.exporting import Format, Kind, export_for
from annotation.agreement.importing import Action, ImportRefusedError, import_table, plan_import
from annotation.agreement.proposals import proposal_agreement
from annotation.agreement.report import agreement_report
from annotation.agreement.tables import TableError
from annotation.models import Consensus


class EstimateSerializer(serializers.Serializer):
    """A statistic with its 95 % bootstrap interval; `reason` says why one is missing."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    observed = serializers.FloatField(allow_null=True)
    chance = serializers.FloatField(allow_null=True)
    units = serializers.IntegerField()
    raters = serializers.IntegerField()
    reason = serializers.CharField()


class StatisticSerializer(serializers.Serializer):
    key = serializers.CharField()
    estimate = EstimateSerializer()


class PairSerializer(serializers.Serializer):
    first = serializers.CharField(source="first.username")
    second = serializers.CharField(source="second.username")
    agreement = EstimateSerializer()
    kappa = EstimateSerializer()
    credit = EstimateSerializer()


class TermAgreementSerializer(serializers.Serializer):
    term = serializers.CharField(source="term.code")
    uses = serializers.IntegerField()
    agreement = EstimateSerializer()
    alpha = EstimateSerializer()


class ShuffledSerializer(serializers.Serializer):
    mean = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class ProposalsSerializer(serializers.Serializer):
    exact = EstimateSerializer()
    near = EstimateSerializer()
    exact_shuffled = ShuffledSerializer(allow_null=True)
    near_shuffled = ShuffledSerializer(allow_null=True)
    answers = serializers.IntegerField()
    assisted = serializers.IntegerField()


class AgreementSerializer(serializers.Serializer):
    units = serializers.IntegerField()
    shared_units = serializers.IntegerField()
    experts = serializers.IntegerField()
    recognisable = StatisticSerializer(many=True)
    terms = StatisticSerializer(many=True)
    pairs = PairSerializer(many=True)
    by_term = TermAgreementSerializer(many=True)


class LayerAgreementSerializer(serializers.Serializer):
    report = AgreementSerializer()
    proposals = ProposalsSerializer()


class AgreementView(APIView):
    @extend_schema(responses={200: LayerAgreementSerializer})
    def get(self, request: Request, slug: str, model: int, layer: str) -> Response:
        """How far experts agree on a layer, as the agreement page shows it."""
        user = user_of(request)
        project = get_project(user, slug, *LABELLERS)
        for shown in answered_layers(user, project):
            if (shown.model.pk, shown.layer_name) != (model, layer):
                continue
            if not shown.open:
                raise PermissionDenied("Answer every unit that others have answered first.")
            answers = layer_answers(shown.model, layer)
            found = {
                "report": agreement_report(answers),
                "proposals": proposal_agreement(shown.model, layer, answers.by_unit),
            }
            return Response(LayerAgreementSerializer(found).data)
        raise Http404("No such layer has answers.")


class ConsensusSerializer(serializers.ModelSerializer):
    decided_by = named_by("username")
    terms: Any = serializers.SlugRelatedField(slug_field="code", many=True, read_only=True)
    question_set = named_by("number")
    stands = serializers.BooleanField(help_text="The last decision on its unit, not withdrawn.")

    class Meta:
        model = Consensus
        fields = [
            "id", "model", "model_sha256", "layer_name", "unit_index", "number", "stands",
            "recognisable", "terms", "note", "source", "decided_by", "question_set", "basis",
            "created",
        ]  # fmt: skip
        read_only_fields = fields


class ConsensusFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("model__project__slug", label="Slug of the project.")
    stands = django_filters.BooleanFilter(
        "stands", label="Only what stands, or only what does not."
    )

    class Meta:
        model = Consensus
        fields = ["model", "layer_name", "unit_index"]


class ConsensusViewSet(
    ProjectObjectsView,
    mixins.RetrieveModelMixin,
    mixins.ListModelMixin,
    viewsets.GenericViewSet,
):
    """All decisions on units, for admins and adjudicators of their projects."""

    queryset = Consensus.objects.select_related("decided_by", "question_set").prefetch_related(
        "terms"
    )
    serializer_class = ConsensusSerializer
    filterset_class = ConsensusFilter
    project_lookup = "model__project"
    control_lookup = "model__control_of"

    def get_queryset(self) -> QuerySet[Consensus]:
        newer = Consensus.objects.filter(
            model=OuterRef("model"),
            layer_name=OuterRef("layer_name"),
            unit_index=OuterRef("unit_index"),
            number__gt=OuterRef("number"),
        )
        stands = ExpressionWrapper(
            ~Exists(newer) & ~Q(recognisable=""), output_field=BooleanField()
        )
        rows = super().get_queryset().annotate(stands=stands)
        if getattr(self, "swagger_fake_view", False):
            return rows
        user = user_of(self.request)
        if user.is_superuser:
            return rows
        settles = Membership.objects.filter(user=user, role__in=SETTLERS)
        return rows.filter(model__project__in=settles.values("project"))


class ImportFileSerializer(serializers.Serializer):
    file = serializers.FileField(help_text="CSV or JSON as the export writes it.")
    replace = serializers.BooleanField(
        default=False, help_text="Rows that differ from what is here replace it."
    )
    dry_run = serializers.BooleanField(default=False, help_text="Only say what would happen.")


class PlannedRowSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    where = serializers.CharField()
    action = serializers.ChoiceField(choices=[action.value for action in Action])
    message = serializers.CharField()


class ImportReportSerializer(serializers.Serializer):
    counts = serializers.DictField(child=serializers.IntegerField())
    rows = PlannedRowSerializer(many=True)


class ExchangeView(APIView):
    parser_classes = [MultiPartParser, FormParser]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # A file is written as file_format says; "Accept: text/csv" must not be refused for it.
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        parameters=[
            OpenApiParameter("kind", enum=[*Kind], location=OpenApiParameter.PATH),
            OpenApiParameter("file_format", enum=[*Format], default=Format.JSON),
        ],
        responses={
            (200, "application/json"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, slug: str, kind: str) -> HttpResponse:
        """Labels or consensus as a file: admins take all, experts their own labels."""
        user = user_of(request)
        project = get_project(user, slug, *LABELLERS)
        wanted = request.query_params.get("file_format", Format.JSON)
        if wanted not in list(Format):
            raise ValidationError({"file_format": f"One of {', '.join(Format)}."})
        file_format = Format(wanted)
        text = export_for(user, project, Kind(kind), file_format)
        return HttpResponse(text, content_type=CONTENT_TYPES[file_format])

    @extend_schema(
        parameters=[OpenApiParameter("kind", enum=[*Kind], location=OpenApiParameter.PATH)],
        request={"multipart/form-data": ImportFileSerializer},
        responses={
            200: ImportReportSerializer,
            400: DetailSerializer,
            422: ImportReportSerializer,
        },
    )
    def post(self, request: Request, slug: str, kind: str) -> Response:
        """Import a file, all rows or none (admins); 422 says what is wrong with which row."""
        user = user_of(request)
        project = get_project(user, slug, *ADMINS)
        form = ImportFileSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        what = {
            "project": project,
            "kind": Kind(kind),
            "data": values["file"].read(),
            "replace": values["replace"],
        }
        with refusals(TableError):
            try:
                plan = plan_import(**what) if values["dry_run"] else import_table(user=user, **what)
            except ImportRefusedError as error:
                plan = error.plan
        code = status.HTTP_422_UNPROCESSABLE_ENTITY if plan.refused else status.HTTP_200_OK
        return Response(ImportReportSerializer(plan).data, code)
