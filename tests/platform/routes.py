"""Who may do what: every route of the product for every kind of person, one line a route.

`test_permissions.py` fails where a route has no line here, or a line no route. To add one: write
`page(name, get, post)` for a whole page, else `route(name, get=…, post=…)`; a method that is left
out must be refused with 405, unless `others` says something else. `allow(WHO, status)` is what
those who may get for an empty request (422: the form comes back); single people can be given
another status. Arguments of the address are looked up by their names in `stage.samples`; where the
sample has another name, say so (`pk="model"`).
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


@dataclass(frozen=True)
class Route:
    """A route by its name; `page` says that it is a whole page, to be looked at in a browser."""

    name: str
    rules: Mapping[str, Rule | None]
    arguments: Mapping[str, str]
    others: Rule | None = None
    page: bool = False
    query: str = ""

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


def page(name: str, get: Rule, post: Rule | None = None, **arguments: str) -> Route:
    return Route(name, {"get": get, "post": post}, arguments, page=True)


def route(
    name: str,
    *,
    get: Rule | None = None,
    post: Rule | None = None,
    patch: Rule | None = None,
    others: Rule | None = None,
    query: str = "",
    **arguments: str,
) -> Route:
    rules = {"get": get, "post": post, "patch": patch}
    return Route(name, rules, arguments, others=others, query=query)


PAGES = [
    page("home", allow(SIGNED_IN, 302, outsider=200, superuser=302)),
    page("login", allow(SIGNED_IN, 302, anonymous=200), allow(SIGNED_IN, 302, anonymous=200)),
    route("logout", post=allow(ANYONE, 302)),
    route("healthz", get=allow(ANYONE), post=allow(ANYONE)),
    page("project", allow(MEMBERS)),
    page("catalog", allow(MEMBERS)),
    page("model-add", allow(ADMINS), allow(ADMINS, 422)),
    page("dataset-add", allow(ADMINS), allow(ADMINS, 422)),
    page("model-dissect", allow(ADMINS), allow(ADMINS, 422)),
    page("model-predict", allow(ADMINS), allow(ADMINS, 422)),
    page("vocabulary", allow(MEMBERS)),
    route("vocabulary-export", get=allow(MEMBERS)),
    route("vocabulary-copy", post=allow(ADMINS, 302)),
    page("vocabulary-choose", allow(ADMINS), allow(ADMINS, 404)),
    page("vocabulary-create", allow(ADMINS), allow(ADMINS, 422)),
    page("vocabulary-import", allow(ADMINS), allow(ADMINS, 422)),
    page("vocabulary-releases", allow(MEMBERS), allow(ADMINS, 422)),
    page("term-add", allow(ADMINS), allow(ADMINS, 422)),
    page("term-edit", allow(ADMINS), allow(ADMINS, 422)),
    route("term-state", post=allow(ADMINS, 302)),
    page("term-proposals", allow(LABELLERS)),
    page("term-proposal", allow(DECIDERS), allow(DECIDERS, 422)),
    route("term-search", get=allow(MEMBERS)),
    route("units-start", get=allow(MEMBERS, 302)),
    page("units", allow(MEMBERS)),
    page("unit", allow(MEMBERS)),
    route("patch", get=allow(MEMBERS), unit="unit_pk"),
    route("image", get=allow(MEMBERS)),
    route("unit-label", post=allow(LABELLERS)),
    route("unit-label-undo", post=allow(LABELLERS, 422)),
    route("unit-early-look", post=allow(LABELLERS)),
    route("unit-propose", get=allow(LABELLERS), post=allow(LABELLERS, 422)),
    page("cases", allow(MEMBERS)),
    page("case", allow(MEMBERS)),
    route("case-explanation", get=allow(MEMBERS), post=allow(MEMBERS)),
    # Blinded: an expert sees the places of findings once they have answered the named units.
    route("explanation-map", get=allow(MEMBERS, expert=403)),
    page("jobs", allow(MEMBERS)),
    page("job", allow(MEMBERS)),
    route("job-progress", get=allow(MEMBERS)),
    route("job-cancel", post=allow(ADMINS, 302)),
    route("job-retry", post=allow(ADMINS, 302)),
]  # fmt: skip

API = [
    route("api-project-list", get=allow(SIGNED_IN)),
    route("api-project-detail", get=allow(MEMBERS)),
    route("api-vocabulary-list", get=allow(SIGNED_IN)),
    route("api-vocabulary-detail", get=allow(MEMBERS), pk="vocabulary"),
    route("api-vocabulary-terms", get=allow(MEMBERS), pk="vocabulary"),
    route("api-vocabulary-export", get=allow(MEMBERS), pk="vocabulary"),
    route("api-vocabulary-releases", get=allow(MEMBERS), pk="vocabulary"),
    route("api-model-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    route("api-model-detail", get=allow(MEMBERS), pk="model"),
    route("api-dataset-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    route("api-dataset-detail", get=allow(MEMBERS), pk="dataset"),
    route("api-dissection-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    route("api-dissection-detail", get=allow(MEMBERS), pk="dissection"),
    route("api-layer-list", get=allow(SIGNED_IN)),
    route("api-layer-detail", get=allow(MEMBERS), pk="layer_pk"),
    route("api-unit-list", get=allow(SIGNED_IN), query="?layer={layer_pk}"),
    route("api-unit-detail", get=allow(MEMBERS), pk="unit_pk"),
    route("api-label-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    # Signs a token out, and a session is none.
    route("api-logout", others=allow(ANYONE, 401)),
    # The label of another expert: it does not exist for experts, and only its author changes it.
    route(
        "api-label-detail", pk="label", get=allow(DECIDERS, expert=404, clinician=404),
        patch=allow(frozenset(), superuser=403, expert=404, clinician=404),
    ),
    route("api-case-list", get=allow(SIGNED_IN)),
    route("api-case-detail", get=allow(MEMBERS), pk="case"),
    route("api-case-predict", post=allow(SIGNED_IN, 400)),
    route("api-explanation-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    route("api-explanation-detail", get=allow(MEMBERS), pk="explanation"),
    route("api-job-list", get=allow(SIGNED_IN)),
    route("api-job-detail", get=allow(MEMBERS), pk="job"),
    route("api-job-cancel", post=allow(ADMINS), pk="job"),
    route("api-job-retry", post=allow(ADMINS, 409), pk="job"),
    route("api-token", post=allow(ANYONE, 400), others=allow(ANYONE, 405)),
    route("api-schema", get=allow(SIGNED_IN)),
    route("api-docs", get=allow(SIGNED_IN)),
]  # fmt: skip

ROUTES = {entry.name: entry for entry in [*PAGES, *API]}
