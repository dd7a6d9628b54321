"""Who may do what: every route of the product for every kind of person, one line a route.

`test_permissions.py` fails where a route has no line here, or a line no route. To add one: write
`Route(name, get=…, post=…)`; a method that is left out must be refused with 405. Arguments of the
address are looked up by their names in `stage.samples`; where the sample has another name, say so
(`pk="model"`). `allow(WHO, status)` is what those who may get for an empty request (422: the form
comes back); single people can be given another status. `others` is for the methods left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PEOPLE = ("superuser", "admin", "adjudicator", "expert", "clinician", "outsider", "anonymous")

ADMINS = frozenset({"superuser", "admin"})
DECIDERS = ADMINS | {"adjudicator"}
LABELLERS = DECIDERS | {"expert"}
MEMBERS = LABELLERS | {"clinician"}
SIGNED_IN = MEMBERS | {"outsider"}
ANYONE = SIGNED_IN | {"anonymous"}

METHODS = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True)
class Rule:
    who: frozenset[str]
    status: int = 200
    also: Mapping[str, int] = field(default_factory=dict)

    def expected(self, person: str, *, api: bool) -> int:
        """A stranger learns of nothing (404); a member is told what role is missing (403)."""
        if person in self.also:
            return self.also[person]
        if person in self.who:
            return self.status
        if person == "anonymous":
            return 401 if api else 302
        return 404 if person == "outsider" else 403


def allow(who: frozenset[str], status: int = 200, **also: int) -> Rule:
    return Rule(who, status, also)


class Route:
    """A route by its name; `page` says that it is a whole page, to be looked at in a browser."""

    def __init__(
        self,
        name: str,
        *,
        get: Rule | None = None,
        post: Rule | None = None,
        patch: Rule | None = None,
        others: Rule | None = None,
        page: bool = False,
        query: str = "",
        **arguments: str,
    ) -> None:
        self.name = name
        self.rules = {"get": get, "post": post, "patch": patch}
        self.others = others
        self.page = page
        self.query = query
        self.arguments = arguments

    def expected(self, method: str, person: str) -> int:
        rule = self.rules.get(method) or self.others
        if rule is not None:
            return rule.expected(person, api=self.is_api)
        if person == "anonymous":
            return 401 if self.is_api else 302
        return 405

    @property
    def is_api(self) -> bool:
        return self.name.startswith("api-")


def page(name: str, get: Rule, post: Rule | None = None, **more: str) -> Route:
    return Route(name, get=get, post=post, page=True, **more)


PAGES = [
    page("home", allow(SIGNED_IN, 302, outsider=200, superuser=302)),
    page("login", allow(SIGNED_IN, 302, anonymous=200), allow(SIGNED_IN, 302, anonymous=200)),
    Route("logout", post=allow(ANYONE, 302)),
    Route("healthz", get=allow(ANYONE), post=allow(ANYONE)),
    page("project", allow(MEMBERS)),
    page("catalog", allow(MEMBERS)),
    page("model-add", allow(ADMINS), allow(ADMINS, 422)),
    page("dataset-add", allow(ADMINS), allow(ADMINS, 422)),
    page("model-dissect", allow(ADMINS), allow(ADMINS, 422)),
    page("model-predict", allow(ADMINS), allow(ADMINS, 422)),
    page("vocabulary", allow(MEMBERS)),
    Route("vocabulary-export", get=allow(MEMBERS)),
    Route("vocabulary-copy", post=allow(ADMINS, 302)),
    page("vocabulary-choose", allow(ADMINS), allow(ADMINS, 404)),
    page("vocabulary-create", allow(ADMINS), allow(ADMINS, 422)),
    page("vocabulary-import", allow(ADMINS), allow(ADMINS, 422)),
    page("vocabulary-releases", allow(MEMBERS), allow(ADMINS, 422)),
    page("term-add", allow(ADMINS), allow(ADMINS, 422)),
    page("term-edit", allow(ADMINS), allow(ADMINS, 422)),
    Route("term-state", post=allow(ADMINS, 302)),
    page("term-proposals", allow(LABELLERS)),
    page("term-proposal", allow(DECIDERS), allow(DECIDERS, 422)),
    Route("term-search", get=allow(MEMBERS)),
    Route("units-start", get=allow(MEMBERS, 302)),
    page("units", allow(MEMBERS)),
    page("unit", allow(MEMBERS)),
    Route("patch", get=allow(MEMBERS), unit="unit_pk"),
    Route("image", get=allow(MEMBERS)),
    Route("unit-label", post=allow(LABELLERS)),
    Route("unit-label-undo", post=allow(LABELLERS, 422)),
    Route("unit-early-look", post=allow(LABELLERS)),
    Route("unit-propose", get=allow(LABELLERS), post=allow(LABELLERS, 422)),
    page("cases", allow(MEMBERS)),
    page("case", allow(MEMBERS)),
    Route("case-explanation", get=allow(MEMBERS), post=allow(MEMBERS)),
    # Blinded: an expert sees the places of findings once they have answered the named units.
    Route("explanation-map", get=allow(MEMBERS, expert=403)),
    page("jobs", allow(MEMBERS)),
    page("job", allow(MEMBERS)),
    Route("job-progress", get=allow(MEMBERS)),
    Route("job-cancel", post=allow(ADMINS, 302)),
    Route("job-retry", post=allow(ADMINS, 302)),
]  # fmt: skip

API = [
    Route("api-project-list", get=allow(SIGNED_IN)),
    Route("api-project-detail", get=allow(MEMBERS)),
    Route("api-vocabulary-list", get=allow(SIGNED_IN)),
    Route("api-vocabulary-detail", get=allow(MEMBERS), pk="vocabulary"),
    Route("api-vocabulary-terms", get=allow(MEMBERS), pk="vocabulary"),
    Route("api-vocabulary-export", get=allow(MEMBERS), pk="vocabulary"),
    Route("api-vocabulary-releases", get=allow(MEMBERS), pk="vocabulary"),
    Route("api-model-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    Route("api-model-detail", get=allow(MEMBERS), pk="model"),
    Route("api-dataset-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    Route("api-dataset-detail", get=allow(MEMBERS), pk="dataset"),
    Route("api-dissection-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    Route("api-dissection-detail", get=allow(MEMBERS), pk="dissection"),
    Route("api-layer-list", get=allow(SIGNED_IN)),
    Route("api-layer-detail", get=allow(MEMBERS), pk="layer_pk"),
    Route("api-unit-list", get=allow(SIGNED_IN), query="?layer={layer_pk}"),
    Route("api-unit-detail", get=allow(MEMBERS), pk="unit_pk"),
    Route("api-label-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    # Signs a token out, and a session is none.
    Route("api-logout", others=allow(ANYONE, 401)),
    # The label of another expert: it does not exist for experts, and only its author changes it.
    Route(
        "api-label-detail", pk="label", get=allow(DECIDERS, expert=404, clinician=404),
        patch=allow(frozenset(), superuser=403, expert=404, clinician=404),
    ),
    Route("api-case-list", get=allow(SIGNED_IN)),
    Route("api-case-detail", get=allow(MEMBERS), pk="case"),
    Route("api-case-predict", post=allow(SIGNED_IN, 400)),
    Route("api-explanation-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    Route("api-explanation-detail", get=allow(MEMBERS), pk="explanation"),
    Route("api-job-list", get=allow(SIGNED_IN)),
    Route("api-job-detail", get=allow(MEMBERS), pk="job"),
    Route("api-job-cancel", post=allow(ADMINS), pk="job"),
    Route("api-job-retry", post=allow(ADMINS, 409), pk="job"),
    Route("api-token", post=allow(ANYONE, 400), others=allow(ANYONE, 405)),
    Route("api-schema", get=allow(SIGNED_IN)),
    Route("api-docs", get=allow(SIGNED_IN)),
]  # fmt: skip

ROUTES = {route.name: route for route in [*PAGES, *API]}
