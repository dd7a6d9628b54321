from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import ADMINS, LABELLERS, require
from accounts.api_access import DetailSerializer, ProjectObjectsView, named_by, refusals, user_of
from accounts.models import Membership, Role
from annotation.api import LabelChangeSerializer
from annotation.models import Reading, ReadingList
from annotation.reading import selectors, services
from annotation.reading.standing import standing
from annotation.services import LabelError, save_label
from dissections.selectors import top_patches


class ReadingListSerializer(serializers.ModelSerializer):
    project = named_by("slug")
    readers: Any = serializers.SlugRelatedField(slug_field="username", many=True, read_only=True)
    unit_count = serializers.IntegerField(read_only=True)
    needed_count = serializers.IntegerField(read_only=True, help_text="Readings it asks for.")
    done_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = ReadingList
        fields = [
            "id", "project", "name", "dissection", "readers", "readers_per_unit", "repeat_share",
            "assisted", "seed", "created", "closed", "unit_count", "needed_count", "done_count",
        ]  # fmt: skip
        read_only_fields = fields


class StandingSerializer(serializers.Serializer):
    """How far a reader has come in a list."""

    done = serializers.IntegerField()
    left = serializers.IntegerField()
    skipped = serializers.SerializerMethodField(help_text="Ids of readings put off for later.")
    seconds_per_reading = serializers.FloatField(allow_null=True, help_text="Your median.")
    seconds_left = serializers.FloatField(allow_null=True)

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_skipped(self, found: Any) -> list[int]:
        return [reading.pk for reading in found.skipped]


class ReadingSerializer(serializers.ModelSerializer):
    """A unit to read. What it is a unit of is not told: controls look like any other."""

    patches = serializers.SerializerMethodField(
        help_text="Addresses of the pictures; add ?part=patch|highlight|whole|whole-highlight."
    )

    class Meta:
        model = Reading
        fields = ["id", "state", "held_until", "seconds", "patches"]
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_patches(self, reading: Reading) -> list[str]:
        slug = reading.item.reading_list.project.slug
        unit = selectors.unit_of(reading.item)
        return [
            reverse("reading-patch", args=[slug, reading.pk, patch.rank])
            for patch in top_patches(unit)
        ]


class ReadingListFilter(django_filters.FilterSet):
    project = django_filters.CharFilter("project__slug", label="Slug of the project.")

    class Meta:
        model = ReadingList
        fields = ["dissection"]


class ReadingListViewSet(ProjectObjectsView, viewsets.ReadOnlyModelViewSet):
    """Reading lists (project admins); `next` and `progress` are for their readers."""

    queryset = selectors.with_counts(
        ReadingList.objects.select_related("project").prefetch_related("readers")
    ).order_by("-created", "-pk")
    serializer_class = ReadingListSerializer
    filterset_class = ReadingListFilter

    def get_queryset(self) -> QuerySet[ReadingList]:
        lists = super().get_queryset()
        if self.action != "list" or self.request.user.is_superuser:
            return lists
        run = Membership.objects.filter(user=self.request.user.pk, role=Role.ADMIN)
        return lists.filter(project__in=run.values("project"))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        require(user_of(request), self.get_object().project, *ADMINS)
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(request=None, responses={200: ReadingSerializer, 400: DetailSerializer})
    @action(detail=True, methods=["post"], serializer_class=ReadingSerializer)
    def next(self, request: Request, pk: str) -> Response:
        """Your next unit, held for you for half an hour; 204 where nothing is left."""
        with refusals(services.ReadingError):
            reading = services.next_reading(
                reading_list=self._own(request), reader=user_of(request)
            )
        if reading is None:
            return Response(status=204)
        return Response(ReadingSerializer(reading).data)

    @extend_schema(responses=StandingSerializer)
    @action(detail=True, serializer_class=StandingSerializer)
    def progress(self, request: Request, pk: str) -> Response:
        """How far you have come."""
        return Response(StandingSerializer(standing(self._own(request), user_of(request))).data)

    def _own(self, request: Request) -> ReadingList:
        shown = self.get_object()
        require(user_of(request), shown.project, *LABELLERS)
        return selectors.get_own_list(shown.project, shown.pk, user_of(request))


class ReadingViewSet(ProjectObjectsView, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Your readings of the units of reading lists."""

    queryset = Reading.objects.select_related(
        "reader", "item__model", "item__reading_list__dissection", "item__reading_list__project"
    )
    serializer_class = ReadingSerializer
    project_lookup = "item__reading_list__project"

    def get_queryset(self) -> QuerySet[Reading]:
        return super().get_queryset().filter(reader=self.request.user.pk)

    @extend_schema(
        request=LabelChangeSerializer, responses={200: ReadingSerializer, 400: DetailSerializer}
    )
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, pk: str) -> Response:
        """Say what the unit shows; fields that are not sent stay as they are."""
        reading: Reading = self.get_object()
        user, item = user_of(request), reading.item
        require(user, item.reading_list.project, *LABELLERS)
        form = LabelChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals(LabelError):
            save_label(
                user=user,
                model=item.model,
                layer_name=item.layer_name,
                unit_index=item.unit_index,
                occasion=reading.occasion,
                **form.changes(),
            )
        services.record_answer(reading=reading)
        return Response(ReadingSerializer(self.get_object()).data)
