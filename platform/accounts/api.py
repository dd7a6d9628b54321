"""Tokens for scripts: hashed in the database and expiring, so a leaked backup gives nothing."""

import hashlib
from typing import Any

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from knox.views import LogoutView
from rest_framework import serializers, status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle, SimpleRateThrottle
from rest_framework.views import APIView

from accounts.api_access import DetailSerializer


class CredentialsSerializer(serializers.Serializer):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(
        max_length=4096, write_only=True, trim_whitespace=False, style={"input_type": "password"}
    )


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField(help_text="Send it as `Authorization: Token …`.")
    expiry = serializers.DateTimeField()


class AccountThrottle(SimpleRateThrottle):
    """Counts attempts per account, wherever they come from."""

    scope = "login"

    def get_cache_key(self, request: Request, view: Any) -> str:
        data = request.data if isinstance(request.data, dict) else {}
        username = str(data.get("username", "")).casefold()
        digest = hashlib.sha256(username.encode(errors="replace")).hexdigest()
        return self.cache_format % {"scope": "login-account", "ident": digest}


class TokenView(APIView):
    """Exchange a user name and password for a token."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (ScopedRateThrottle, AccountThrottle)
    throttle_scope = "login"

    @extend_schema(
        operation_id="auth_token_create",
        request=CredentialsSerializer,
        responses={200: TokenSerializer, 401: DetailSerializer, 429: DetailSerializer},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = authenticate(request, **credentials.validated_data)
        if user is None:
            raise AuthenticationFailed("This name and password do not belong together.")
        instance, token = AuthToken.objects.create(user=user)
        return Response(TokenSerializer({"token": token, "expiry": instance.expiry}).data)

    def get_authenticate_header(self, request: Request) -> str:
        """Makes a refusal a 401, although the view itself asks for no authentication."""
        return "Token"


class TokenLogoutView(LogoutView):
    """End the token that this request was made with."""

    @extend_schema(
        operation_id="auth_logout_create",
        request=None,
        responses={status.HTTP_204_NO_CONTENT: None},
    )
    def post(self, request: Request, format: str | None = None) -> Response:
        return super().post(request, format)
