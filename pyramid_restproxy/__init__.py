"""RESTful routing and forwarding to backend services, for Pyramid.

``config.include('pyramid_restproxy')`` includes every part; each part can be
included alone. The names below are the public ones.
"""

from __future__ import annotations

from pyramid.config import Configurator

from pyramid_restproxy.exceptions import (
    MalformedRequest,
    MethodNotAllowed,
    MissingExtra,
    NotAcceptable,
    OverrideRejected,
    RequestRefused,
    RestProxyError,
    UnsupportedMediaType,
)
from pyramid_restproxy.forwarding.client import (
    Result,
    invoke_backend_service,
    invoke_backend_service_as_proxy,
    service_url,
)
from pyramid_restproxy.forwarding.failures import Failure, ForwardingFailed
from pyramid_restproxy.forwarding.response import ProxyResponse
from pyramid_restproxy.forwarding.view import ProxyView
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter
from pyramid_restproxy.routing.forms import delete_form, method_field
from pyramid_restproxy.routing.middleware import MethodOverrideMiddleware
from pyramid_restproxy.routing.predicates import allowed_methods, extension
from pyramid_restproxy.routing.resources import rest_resource
from pyramid_restproxy.routing.tweens import MethodOverridden
from pyramid_restproxy.services.client import ServiceClient, ServiceError
from pyramid_restproxy.services.directives import service_config
from pyramid_restproxy.services.values import Progress
from pyramid_restproxy.trust.api_keys import SqlKeyStore
from pyramid_restproxy.trust.exposed import (
    expose_service,
    needs_csrf,
    require_signature,
)
from pyramid_restproxy.trust.hmac_auth import HMACAuth
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.jwt import JWTValidator
from pyramid_restproxy.trust.login import (
    BackendLoginPolicy,
    local_path,
    login,
    logout,
    logout_everywhere,
)
from pyramid_restproxy.trust.profiles import (
    BodyProfile,
    RequestProfile,
    WebhookProfile,
)
from pyramid_restproxy.trust.tokens import revoke_user_token, send_user_token
from pyramid_restproxy.trust.validators import backend_validator

__all__ = [
    "BackendLoginPolicy",
    "BodyProfile",
    "Failure",
    "ForwardingFailed",
    "HMACAuth",
    "Identity",
    "JWTValidator",
    "KeepAliveAdapter",
    "MalformedRequest",
    "MethodNotAllowed",
    "MethodOverridden",
    "MethodOverrideMiddleware",
    "MissingExtra",
    "NotAcceptable",
    "OverrideRejected",
    "Progress",
    "ProxyResponse",
    "ProxyView",
    "RequestProfile",
    "RequestRefused",
    "RestProxyError",
    "Result",
    "ServiceClient",
    "ServiceError",
    "SqlKeyStore",
    "UnsupportedMediaType",
    "WebhookProfile",
    "allowed_methods",
    "backend_validator",
    "delete_form",
    "expose_service",
    "extension",
    "includeme",
    "invoke_backend_service",
    "invoke_backend_service_as_proxy",
    "local_path",
    "login",
    "logout",
    "logout_everywhere",
    "method_field",
    "needs_csrf",
    "require_signature",
    "rest_resource",
    "revoke_user_token",
    "send_user_token",
    "service_config",
    "service_url",
]


def includeme(config: Configurator) -> None:
    """Include every part."""
    config.include("pyramid_restproxy.settings")
    config.include("pyramid_restproxy.problems")
    config.include("pyramid_restproxy.routing")
    config.include("pyramid_restproxy.forwarding")
    config.include("pyramid_restproxy.operation")
    config.include("pyramid_restproxy.trust")
    config.include("pyramid_restproxy.services")
