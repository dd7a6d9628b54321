from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import LABELLERS, require, visible_projects
from accounts.api_access import DetailSerializer, ProjectObjectsView, named_by, refusals, user_of
from accounts.models import Membership, Role
from annotation.models import Label, QuestionSet
from annotation.services import NOTE_CHARACTERS, LabelError, save_label
from catalog.models import TrainedModel

SEE_ALL_LABELS = (Role.ADMIN, Role.ADJUDICATOR)


class LabelSerializer(serializers.ModelSerializer):
    author = named_by("username")
    terms: Any = serializers.SlugRelatedField(slug_field="code", many=True, read_only=True)
    question_set = named_by("number")

    class Meta:
        model = Label
        fields = [
            "id", "model", "layer_name", "unit_index", "author", "recognisable", "terms",
            "confidence", "note", "answers", "question_set", "created", "updated",
        ]  # fmt: skip
        read_only_fields = fields


class LabelChangeSerializer(serializers.Serializer):
    """Fields that are not sent stay as they are."""

    recognisable = serializers.ChoiceField(
        Label.Recognisable.choices, required=False, allow_blank=True
    )
    terms = serializers.ListField(
        child=serializers.CharField(max_length=80),
        required=False,
        help_text="Codes of terms of the project's vocabulary; they replace all earlier ones.",
    )
    confidence = serializers.ChoiceField(Label.Confidence.choices, required=False, allow_null=True)
    note = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_CHARACTERS)
    answers = serializers.DictField(
        required=False,
        help_text="Answers to further questions of the project's question set, by their keys. "
        "null takes an answer back; questions that are not named stay as they are.",
    )

    def changes(self) -> dict[str, Any]:
        """Keyword arguments for `services.save_label`."""
        names = {"terms": "term_codes"}
        sent = ("recognisable", "terms", "confidence", "note", "answers")
        values = self.validated_data
        return {names.get(name, name): values[name] for name in sent if name in values}


class NewLabelSerializer(LabelChangeSerializer):
    model = serializers.IntegerField()
    layer_name = serializers.CharField(max_length=160)
    unit_index = serializers.IntegerField(min_value=0)


class LabelFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("model__project__slug", label="Slug of the project.")
    author = django_filters.CharFilter("author__username", label="User name of the expert.")

    class Meta:
        model = Label
        fields = ["model", "layer_name", "unit_index"]


class LabelViewSet(
    ProjectObjectsView,
    mixins.RetrieveModelMixin,
    mixins.ListModelMixin,
    viewsets.GenericViewSet,
):
    """Your labels; project admins and adjudicators see those of every expert, and so does every
    member where the project is not blinded."""

    queryset = (
        Label.objects.select_related("author", "model__project", "question_set")
        .prefetch_related("terms")
        .order_by("model", "layer_name", "unit_index", "author")
    )
    serializer_class = LabelSerializer
    filterset_class = LabelFilter
    project_lookup = "model__project"
    control_lookup = "model__control_of"

    def get_queryset(self) -> QuerySet[Label]:
        labels = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return labels
        user = user_of(self.request)
        if user.is_superuser:
            return labels
        seen_whole = Membership.objects.filter(user=user, role__in=SEE_ALL_LABELS)
        return labels.filter(
            Q(author=user)
            | Q(model__project__in=seen_whole.values("project"))
            | Q(model__project__blinded=False)
        )

    @extend_schema(
        request=NewLabelSerializer,
        responses={200: LabelSerializer, 201: LabelSerializer, 400: DetailSerializer},
    )
    def create(self, request: Request) -> Response:
        """Save your label of a unit; 201 where you had none, 200 where it was changed."""
        form = NewLabelSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = user_of(request)
        values = form.validated_data
        model = get_object_or_404(
            TrainedModel.objects.select_related("project"),
            project__in=visible_projects(user).values("pk"),
            pk=values["model"],
        )
        require(user, model.project, *LABELLERS)
        place = {"layer_name": values["layer_name"], "unit_index": values["unit_index"]}
        known = Label.objects.filter(author=user, model=model, **place).exists()
        with refusals(LabelError):
            label = save_label(user=user, model=model, **place, **form.changes())
        code = status.HTTP_200_OK if known else status.HTTP_201_CREATED
        return Response(LabelSerializer(label).data, code)

    @extend_schema(
        request=LabelChangeSerializer,
        responses={200: LabelSerializer, 400: DetailSerializer},
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some fields of a label of your own."""
        label: Label = self.get_object()
        user = user_of(request)
        require(user, label.model.project, *LABELLERS)
        if label.author_id != user.pk:
            self.permission_denied(request, "Only the author of a label can change it.")
        form = LabelChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals(LabelError):
            label = save_label(
                user=user,
                model=label.model,
                layer_name=label.layer_name,
                unit_index=label.unit_index,
                **form.changes(),
            )
        return Response(LabelSerializer(label).data)


class QuestionSetSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    created_by = named_by("username")

    class Meta:
        model = QuestionSet
        fields = ["id", "project", "number", "questions", "created_by", "created"]
        read_only_fields = fields


class QuestionSetFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("project__slug", label="Slug of the project.")

    class Meta:
        model = QuestionSet
        fields = ["number"]


class QuestionSetViewSet(ProjectObjectsView, viewsets.ReadOnlyModelViewSet):
    """What experts are and were asked; the highest number of a project holds now."""

    queryset = QuestionSet.objects.select_related("project", "created_by").order_by(
        "project", "number"
    )
    serializer_class = QuestionSetSerializer
    filterset_class = QuestionSetFilter
