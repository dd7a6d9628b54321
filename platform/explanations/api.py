from typing import Any

import django_filters
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import ADMINS, get_project, visible_projects
from accounts.api_access import DetailSerializer, ProjectObjectsView, named_by, refusals, user_of
from catalog.models import Image, Split
from catalog.selectors import own_models
from dissections.models import Layer
from explanations.blinding import own_answers, readable, unanswered_names, why_withheld
from explanations.content import to_json
from explanations.exports.forms import FORMS, Form
from explanations.exports.views import export_response
from explanations.models import Case, Explanation
from explanations.selectors import finished_explanations
from explanations.services import (
    ExplanationRequestError,
    content_of,
    request_explanation,
    start_prediction,
)
from jobs.api import JobSerializer


class ImageSerializer(serializers.ModelSerializer):
    class Meta:
        model = Image
        fields = [
            "id", "name", "patient", "study", "laterality", "view", "split", "class_index",
        ]  # fmt: skip
        read_only_fields = fields


class CaseSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    image = ImageSerializer(read_only=True)
    predicted_class = serializers.CharField(read_only=True)

    class Meta:
        model = Case
        fields = [
            "id", "project", "model", "image", "logits", "probabilities", "predicted",
            "predicted_class", "created",
        ]  # fmt: skip
        read_only_fields = fields


class CaseFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("project__slug", label="Slug of the project.")
    patient = django_filters.CharFilter("image__patient", label="The patient's identifier.")

    class Meta:
        model = Case
        fields = ["model", "image", "predicted"]


class StartPredictionSerializer(serializers.Serializer):
    project = serializers.SlugField()
    model = serializers.IntegerField()
    dataset = serializers.IntegerField()
    split = serializers.ChoiceField(Split.choices, default=Split.TEST)


class CaseViewSet(ProjectObjectsView, viewsets.ReadOnlyModelViewSet):
    """Images as a model sees them."""

    queryset = Case.objects.select_related("project", "model", "image").order_by(
        "image__name", "pk"
    )
    serializer_class = CaseSerializer
    filterset_class = CaseFilter

    @extend_schema(
        request=StartPredictionSerializer,
        responses={202: JobSerializer, 400: DetailSerializer},
        filters=False,
    )
    @action(detail=False, methods=["post"])
    def predict(self, request: Request) -> Response:
        """Queue a run of a model over the images of a split; each becomes a case (admins)."""
        form = StartPredictionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        user = user_of(request)
        project = get_project(user, values["project"], *ADMINS)
        with refusals(ExplanationRequestError):
            job = start_prediction(
                project=project,
                model=get_object_or_404(own_models(project), pk=values["model"]),
                dataset=get_object_or_404(project.datasets.all(), pk=values["dataset"]),
                split=values["split"],
                user=user,
            )
        return Response(JobSerializer(job).data, status.HTTP_202_ACCEPTED)


class ExplanationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Explanation
        fields = [
            "id", "case", "layer", "target", "labels_digest", "job", "created", "completed",
        ]  # fmt: skip
        read_only_fields = fields


class ExplanationDetailSerializer(ExplanationSerializer):
    """`content` is null until the worker has finished, and for an expert who has not answered all
    units that the explanation names: answers are given blind. `withheld` then says which.
    """

    content = serializers.SerializerMethodField(
        help_text="Findings for and against the class, coverage and the check by removal."
    )
    withheld = serializers.SerializerMethodField(
        help_text="What the reader has to do before the content can be read; mostly null."
    )

    class Meta(ExplanationSerializer.Meta):
        fields = [*ExplanationSerializer.Meta.fields, "content", "withheld"]
        read_only_fields = fields

    def get_content(self, explanation: Explanation) -> dict[str, Any] | None:
        answers = self._answers(explanation)
        if not explanation.completed or unanswered_names(explanation, answers):
            return None
        return to_json(readable(content_of(explanation), answers))

    def get_withheld(self, explanation: Explanation) -> str | None:
        waiting = unanswered_names(explanation, self._answers(explanation))
        return why_withheld(explanation.layer, waiting) if waiting else None

    def _answers(self, explanation: Explanation) -> set[int] | None:
        return own_answers(user_of(self.context["request"]), explanation)


class RequestExplanationSerializer(serializers.Serializer):
    case = serializers.IntegerField()
    layer = serializers.IntegerField()
    target = serializers.IntegerField(min_value=0, help_text="Index of the class to explain.")


class ExportSerializer(serializers.Serializer):
    form = serializers.ChoiceField([(form.value, info.title) for form, info in FORMS.items()])


class WhateverAccepted(DefaultContentNegotiation):
    """For files whose kind the address names: `Accept: application/pdf` is no reason to refuse."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class ExplanationFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("case__project__slug", label="Slug of the project.")

    class Meta:
        model = Explanation
        fields = ["case", "layer", "target"]


class ExplanationViewSet(
    ProjectObjectsView,
    mixins.RetrieveModelMixin,
    mixins.ListModelMixin,
    viewsets.GenericViewSet,
):
    queryset = Explanation.objects.select_related("case__project", "case__model", "layer").order_by(
        "-created", "-pk"
    )
    filterset_class = ExplanationFilter
    project_lookup = "case__project"

    def get_serializer_class(self) -> type[ExplanationSerializer]:
        return ExplanationSerializer if self.action == "list" else ExplanationDetailSerializer

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "form", str, required=True, enum=[form.value for form in Form],
                description="What to write: " + ", ".join(
                    f"`{form}` {info.title} ({info.help})" for form, info in FORMS.items()
                ),
            )
        ],
        responses={
            **{(200, info.media_type): OpenApiTypes.BINARY for info in FORMS.values()},
            400: DetailSerializer, 403: DetailSerializer, 404: DetailSerializer,
        },
        filters=False,
    )  # fmt: skip
    @action(detail=True, content_negotiation_class=WhateverAccepted)
    def export(self, request: Request, pk: str) -> HttpResponse:
        """A finished explanation as a file; 403 says what its reader has to answer first."""
        form = ExportSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        user, asked = user_of(request), self.get_object()
        finished = get_object_or_404(finished_explanations(asked.case.project), pk=asked.pk)
        return export_response(request, user, finished, Form(form.validated_data["form"]))

    @extend_schema(
        request=RequestExplanationSerializer,
        responses={201: ExplanationDetailSerializer, 400: DetailSerializer},
    )
    def create(self, request: Request) -> Response:
        """The explanation by the names that stand now; where there is none its job is queued."""
        form = RequestExplanationSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        user = user_of(request)
        case = get_object_or_404(
            Case.objects.select_related("project", "model", "image"),
            project__in=visible_projects(user).values("pk"),
            pk=values["case"],
        )
        layer = get_object_or_404(
            Layer.objects.select_related("dissection").filter(
                dissection__project=case.project_id, dissection__completed__isnull=False
            ),
            pk=values["layer"],
        )
        with refusals(ExplanationRequestError):
            explanation = request_explanation(
                case=case, layer=layer, target=values["target"], user=user
            )
        answer = ExplanationDetailSerializer(explanation, context=self.get_serializer_context())
        return Response(answer.data, status.HTTP_201_CREATED)
