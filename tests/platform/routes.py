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
# The expert is the one reader of the stage's reading list.
READER = frozenset({"expert"})
# These two take part in the stage's reader test.
TESTED = frozenset({"admin", "clinician"})

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


def own(status: int = 200) -> Rule:
    """The expert's own reading, which does not exist for other labellers either."""
    return allow(READER, status, superuser=404, admin=404, adjudicator=404)


def own_test(status: int = 200) -> Rule:
    """The reader test of those who take part; it does not exist for other members either."""
    return allow(TESTED, status, superuser=404, adjudicator=404, expert=404)


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


def page(
    name: str, get: Rule, post: Rule | None = None, *, query: str = "", **arguments: str
) -> Route:
    return Route(name, {"get": get, "post": post}, arguments, page=True, query=query)


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
    page("unit-compare", allow(MEMBERS), query="?layer={layer_pk}&unit=1"),
    route("image", get=allow(MEMBERS)),
    route("image-pixels", get=allow(MEMBERS)),
    route("unit-label", post=allow(LABELLERS)),
    route("unit-label-undo", post=allow(LABELLERS, 422)),
    route("unit-early-look", post=allow(LABELLERS)),
    route("unit-propose", get=allow(LABELLERS), post=allow(LABELLERS, 422)),
    page("project-settings", allow(ADMINS)),
    route("project-blinding", post=allow(ADMINS, 302)),
    route("project-questions", post=allow(ADMINS, 422)),
    page("reading-lists", allow(MEMBERS)),
    page("reading-list-new", allow(ADMINS), allow(ADMINS, 422)),
    page("reading-list", allow(ADMINS)),
    route("reading-list-close", post=allow(ADMINS, 302)),
    route("reading-list-reopen", post=allow(ADMINS, 302)),
    route("reading-reader-add", post=allow(ADMINS, 404)),
    route("reading-reader-remove", post=allow(ADMINS, 404)),
    route("reading-control", post=allow(ADMINS, 302)),
    route("read", get=allow(READER, 302)),
    page("reading-mine", allow(READER)),
    page("reading", own()),
    route("reading-ahead", post=own()),
    route("reading-leave", post=own(422)),
    route("reading-label", post=own()),
    route("reading-label-undo", post=own(422)),
    route("reading-propose", get=own(), post=own(422)),
    route("reading-patch", get=own()),
    # Blinded: an expert sees a layer's agreement once they have answered what others have.
    page("agreement", allow(DECIDERS, 302, expert=200)),
    page("agreement-layer", allow(DECIDERS)),
    route("agreements-accept", post=allow(DECIDERS, 302)),
    route("agreements-withdraw", post=allow(DECIDERS, 302)),
    page("adjudicate", allow(DECIDERS), allow(DECIDERS, 422)),
    route("adjudicate-undo", post=allow(DECIDERS, 302)),
    page("labels-export", allow(LABELLERS)),
    # Those who are no admins get their own labels; the consensus is for admins.
    route("labels-download", get=allow(LABELLERS), query="?what=labels&file_format=csv"),
    route("labels-import", post=allow(ADMINS, 422)),
    route("labels-import-confirm", post=allow(ADMINS, 302)),
    page("cases", allow(MEMBERS)),
    page("case-upload", allow(MEMBERS), allow(MEMBERS, 422)),
    page("case-uploaded", allow(MEMBERS)),
    # Blinded: the findings of all cases are made of colleagues' answers.
    route("findings", get=allow(MEMBERS, expert=403)),
    page("explain-all", allow(ADMINS), allow(ADMINS, 422)),
    page("case", allow(MEMBERS)),
    route("case-explanation", get=allow(MEMBERS), post=allow(MEMBERS)),
    # Blinded: an expert sees the places of findings once they have answered the named units.
    route("explanation-map", get=allow(MEMBERS, expert=403)),
    route("explanation-export", get=allow(MEMBERS, expert=403)),
    # Blinded experts get evaluations without single terms; test_evaluation_pages.py looks.
    page("evaluations", allow(MEMBERS)),
    page("evaluation-start", allow(DECIDERS), allow(DECIDERS, 422)),
    page("evaluation", allow(MEMBERS)),
    route("evaluation-download", get=allow(MEMBERS)),
    page("reader-tests", allow(MEMBERS)),
    page("reader-test-new", allow(ADMINS), allow(ADMINS, 422)),
    page("reader-test", allow(ADMINS), allow(ADMINS, 302)),
    page("reader-test-read", own_test(), own_test(302)),
    route("reader-test-back", post=own_test(302)),
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
    route("api-question-set-list", get=allow(SIGNED_IN)),
    route("api-question-set-detail", get=allow(MEMBERS), pk="question_set"),
    route("api-reading-list-list", get=allow(SIGNED_IN)),
    route("api-reading-list-detail", get=allow(ADMINS), pk="reading_list"),
    route("api-reading-list-next", post=allow(READER), pk="reading_list"),
    route("api-reading-list-progress", get=allow(READER), pk="reading_list"),
    # Whose readings they are is asked before the role: others' do not exist for a clinician.
    route(
        "api-reading-detail", pk="reading",
        get=allow(READER, superuser=404, admin=404, adjudicator=404, clinician=404),
    ),
    route(
        "api-reading-answer", pk="reading",
        post=allow(READER, superuser=404, admin=404, adjudicator=404, clinician=404),
    ),
    route("api-agreement", get=allow(DECIDERS)),
    # Like others' labels, decisions on units do not exist for experts.
    route("api-consensus-list", get=allow(SIGNED_IN)),
    route(
        "api-consensus-detail", pk="consensus", get=allow(DECIDERS, expert=404, clinician=404)
    ),
    route("api-exchange", get=allow(LABELLERS), post=allow(ADMINS, 400)),
    route("api-case-list", get=allow(SIGNED_IN)),
    route("api-case-detail", get=allow(MEMBERS), pk="case"),
    route("api-case-predict", post=allow(SIGNED_IN, 400)),
    route("api-explanation-list", get=allow(SIGNED_IN), post=allow(SIGNED_IN, 400)),
    route("api-explanation-detail", get=allow(MEMBERS), pk="explanation"),
    route(
        "api-explanation-export", pk="explanation", query="?form={form}",
        get=allow(MEMBERS, expert=403),
    ),
    route("api-evaluation-list", get=allow(SIGNED_IN)),
    route("api-evaluation-detail", get=allow(MEMBERS), pk="evaluation"),
    route("api-calibration-list", get=allow(SIGNED_IN)),
    route("api-calibration-detail", get=allow(MEMBERS), pk="calibration"),
    route("api-job-list", get=allow(SIGNED_IN)),
    route("api-job-detail", get=allow(MEMBERS), pk="job"),
    route("api-job-cancel", post=allow(ADMINS), pk="job"),
    route("api-job-retry", post=allow(ADMINS, 409), pk="job"),
    route("api-token", post=allow(ANYONE, 400), others=allow(ANYONE, 405)),
    route("api-schema", get=allow(SIGNED_IN)),
    route("api-docs", get=allow(SIGNED_IN)),
]  # fmt: skip

ROUTES = {entry.name: entry for entry in [*PAGES, *API]}
