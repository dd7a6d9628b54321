"""How the API divides its lists into pages."""

from rest_framework.pagination import LimitOffsetPagination


class BoundedPagination(LimitOffsetPagination):
    """`limit` and `offset`, where a limit that no database takes counts as the largest one."""

    max_limit = 1000
