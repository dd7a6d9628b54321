"""Vocabularies as SKOS, the W3C's model for thesauri, in Turtle or RDF/XML.

SKOS has words for codes, names, synonyms, definitions and parents; the rest of a term has
properties of Unitscope's own, which other programs ignore. Synonyms have no order in RDF: they are
read sorted. https://www.w3.org/TR/skos-reference/

Reading fetches nothing: document type declarations, and with them entities, are refused, and RDF
itself has no includes.
"""

import re
from collections.abc import Iterable
from typing import Any
from typing import Literal as OneOf
from urllib.parse import quote, unquote
from xml.parsers import expat
from xml.sax import SAXException

from rdflib import DCTERMS, OWL, RDF, SKOS, Graph, Literal, Namespace, URIRef
from rdflib.exceptions import Error as RdfError
from rdflib.plugins.parsers.notation3 import BadSyntax
from rdflib.term import Node

from catalog.vocabularies.csv_format import join, split
from catalog.vocabularies.entries import (
    MAPPING_LENGTHS,
    Content,
    Problems,
    Stated,
    TermEntry,
    VocabularyError,
    checked_terms,
    several_lines,
    short,
)
from catalog.vocabularies.json_format import HEAD_LENGTHS

Syntax = OneOf["turtle", "xml"]
OWN = Namespace("urn:unitscope:term#")
OWN_TEXTS = {"phrase": OWN.phrase, "category": OWN.category, "code_system": OWN.codeSystem}
PREFERRED_LANGUAGES = ("en", "", "en-gb", "en-us")
XML_DECLARATION = re.compile(r"^\s*<\?xml\b[^>]*\?>")
PARSER_ERRORS = (
    RdfError,
    SAXException,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
)


def write(content: Content, syntax: Syntax) -> str:
    graph = Graph()
    graph.bind("skos", SKOS)
    graph.bind("dcterms", DCTERMS)
    graph.bind("term", OWN)
    scheme = URIRef(f"urn:unitscope:vocabulary:{quote(content.slug, safe='')}")
    iris = {term.code: URIRef(f"{scheme}:{quote(term.code, safe='')}") for term in content.terms}
    graph.add((scheme, RDF.type, SKOS.ConceptScheme))
    heads = {
        DCTERMS.identifier: content.slug,
        DCTERMS.title: content.name,
        OWL.versionInfo: content.version,
        DCTERMS.source: content.source,
    }
    _add_texts(graph, scheme, heads.items())
    for position, term in enumerate(content.terms):
        _add_term(graph, scheme, iris, term, position)
    return graph.serialize(format="pretty-xml" if syntax == "xml" else "turtle")


def read(text: str, syntax: Syntax) -> Content:
    """The one concept scheme of a file.

    A concept's code is its notation or, without one, the end of its address. Of names in several
    languages the English one is read, else one without a language.

    Raises:
        VocabularyError: not Turtle or RDF/XML, a document type declaration, no concept, a concept
            without a name or with two parents, or as `entries.checked_terms` says.
    """
    if syntax == "xml":
        text = XML_DECLARATION.sub("", text, count=1)  # it may name another encoding
        _refuse_document_types(text)
    graph = Graph()
    try:
        graph.parse(data=text, format=syntax, publicID="urn:unitscope:file")
    except BadSyntax as error:
        line = error.lines + 1
        raise VocabularyError(f"Line {line}: this is not Turtle. {error.message}") from error
    except PARSER_ERRORS as error:
        name = "RDF/XML" if syntax == "xml" else "Turtle"
        raise VocabularyError(f"This is not sound {name}: {error}") from error
    concepts = sorted(set(graph.subjects(RDF.type, SKOS.Concept)), key=str)
    if not concepts:
        raise VocabularyError("The file has no skos:Concept.")
    head = _head(graph)
    terms = checked_terms(_stated(graph, concepts))
    return Content(head["slug"], head["name"], head["version"], head["source"], terms)


def _add_term(
    graph: Graph, scheme: URIRef, iris: dict[str, URIRef], term: TermEntry, position: int
) -> None:
    iri = iris[term.code]
    graph.add((iri, RDF.type, SKOS.Concept))
    graph.add((iri, SKOS.inScheme, scheme))
    graph.add((iri, OWN.position, Literal(position)))
    texts: list[tuple[URIRef, str]] = [
        (SKOS.notation, term.code),
        (SKOS.prefLabel, term.name),
        (SKOS.definition, term.help_text),
        *((SKOS.altLabel, synonym) for synonym in term.synonyms),
        *((OWN.mapping, join([m.system, m.field, m.value], ":")) for m in term.mappings),
        *((iri_of, getattr(term, key)) for key, iri_of in OWN_TEXTS.items()),
    ]
    _add_texts(graph, iri, texts)
    if term.parent is None:
        graph.add((scheme, SKOS.hasTopConcept, iri))
    else:
        graph.add((iri, SKOS.broader, iris[term.parent]))
    if term.retired:
        graph.add((iri, OWL.deprecated, Literal(True)))


def _add_texts(graph: Graph, iri: URIRef, texts: Iterable[tuple[URIRef, str]]) -> None:
    for predicate, text in texts:
        if text:
            graph.add((iri, predicate, Literal(text)))


def _refuse_document_types(text: str) -> None:
    """Entities, which could read files, fetch addresses or explode, need such a declaration."""

    def refuse(*_: Any) -> None:
        raise VocabularyError("Document type declarations are not read. Remove <!DOCTYPE …>.")

    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise VocabularyError(
            f"Line {error.lineno}: this is not XML ({expat.ErrorString(error.code)})."
        ) from error


def _head(graph: Graph) -> dict[str, str]:
    schemes = sorted(set(graph.subjects(RDF.type, SKOS.ConceptScheme)), key=str)
    if len(schemes) > 1:
        raise VocabularyError(
            f"The file has {len(schemes)} concept schemes; export one of them by itself."
        )
    if not schemes:
        return {"slug": "", "name": "", "version": "", "source": ""}
    scheme = schemes[0]
    texts = {
        "slug": _text(graph, scheme, DCTERMS.identifier),
        "name": _text(graph, scheme, DCTERMS.title) or _text(graph, scheme, SKOS.prefLabel),
        "version": _text(graph, scheme, OWL.versionInfo),
    }
    head = {key: short(text, key, HEAD_LENGTHS[key], empty=True) for key, text in texts.items()}
    return {**head, "source": several_lines(_text(graph, scheme, DCTERMS.source))}


def _stated(graph: Graph, concepts: list[Node]) -> list[Stated]:
    codes = {concept: _code(graph, concept) for concept in concepts}
    problems = Problems()
    placed = []
    for concept, code in codes.items():
        above = {*graph.objects(concept, SKOS.broader), *graph.subjects(SKOS.narrower, concept)}
        if len(above) > 1:
            problems.add(str(concept), "A term can have one parent; this has several.")
        parent = above.pop() if above else None
        values = {
            "code": code,
            "name": _text(graph, concept, SKOS.prefLabel),
            "help_text": _text(graph, concept, SKOS.definition)
            or _text(graph, concept, SKOS.scopeNote),
            "parent": None if parent is None else codes.get(parent, str(parent)),
            "synonyms": sorted(str(node) for node in graph.objects(concept, SKOS.altLabel)),
            "mappings": [
                _mapping(graph_text) for graph_text in graph.objects(concept, OWN.mapping)
            ],
            "retired": any(_is_true(node) for node in graph.objects(concept, OWL.deprecated)),
            **{key: _text(graph, concept, iri) for key, iri in OWN_TEXTS.items()},
        }
        placed.append((_position(graph, concept), code, Stated(str(concept), values)))
    problems.raise_any()
    return [stated for *_, stated in sorted(placed, key=lambda entry: entry[:2])]


def _code(graph: Graph, concept: Node) -> str:
    notations = sorted(str(node) for node in graph.objects(concept, SKOS.notation))
    if notations:
        return notations[0]
    return unquote(str(concept).rstrip("/#").replace("#", "/").rsplit("/", 1)[-1])


def _text(graph: Graph, subject: Node, predicate: URIRef) -> str:
    """One text of a property: in a preferred language, else the first by language and text."""
    texts = sorted(
        ((node.language or "").lower(), str(node))
        for node in graph.objects(subject, predicate)
        if isinstance(node, Literal)
    )
    for language in PREFERRED_LANGUAGES:
        for found, text in texts:
            if found == language:
                return text
    return texts[0][1] if texts else ""


def _mapping(node: Node) -> dict[str, str]:
    parts = split(str(node), ":")
    return dict(zip(MAPPING_LENGTHS, parts, strict=False)) if len(parts) == 3 else {}


def _is_true(node: Node) -> bool:
    return str(node).lower() in ("true", "1")


def _position(graph: Graph, concept: Node) -> int:
    text = _text(graph, concept, OWN.position)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
