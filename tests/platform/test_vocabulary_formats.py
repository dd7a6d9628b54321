"""Vocabularies as files: what is written is read again, and hostile files do no harm."""

import contextlib
import csv
import io
import socket
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import vocabularies
from catalog.vocabularies.entries import (
    Content,
    Stated,
    VocabularyError,
    checked_terms,
    folded,
    one_line,
)
from catalog.vocabularies.exchange import FORMATS, MAX_BYTES, read_bytes

SKOS_FORMATS = ("turtle", "rdfxml")
ODD = "=+-@'\"\\|:,;\t\n<>&#[]{}%^ äé中😀‮"
CHARACTERS = st.one_of(
    st.sampled_from(ODD),
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"),
)


def texts(limit: int) -> st.SearchStrategy[str]:
    return st.text(CHARACTERS, max_size=limit)


def lines(limit: int) -> st.SearchStrategy[str]:
    return st.text(CHARACTERS, min_size=1, max_size=limit).filter(lambda text: one_line(text) != "")


@st.composite
def contents(draw: st.DrawFn) -> Content:
    names = draw(st.lists(lines(12), max_size=6, unique_by=lambda name: folded(one_line(name))))
    codes = draw(st.lists(lines(12), min_size=len(names), max_size=len(names), unique_by=one_line))
    stated = []
    for place, (name, code) in enumerate(zip(names, codes, strict=True)):
        stated.append(
            {
                "code": code,
                "name": name,
                "phrase": draw(texts(8)),
                "category": draw(texts(8)),
                "code_system": draw(texts(8).map(one_line)),
                "help_text": draw(texts(30)),
                "parent": draw(st.sampled_from([None, *codes[:place]])),
                "synonyms": draw(st.lists(texts(8), max_size=3)),
                "mappings": [
                    {"system": system, "field": field, "value": f"{place}{value}"}
                    for system, field, value in draw(
                        st.lists(st.tuples(lines(4), lines(4), texts(4)), max_size=2)
                    )
                ],
                "retired": draw(st.booleans()),
            }
        )
    order = draw(st.permutations(stated))
    terms = checked_terms([Stated("", values) for values in order])
    return Content("s", "Odd", "1", "", terms)


@pytest.mark.parametrize("key", FORMATS)
@given(content=contents())
@settings(max_examples=60, deadline=None)
def test_every_format_gives_back_what_was_written(key: str, content: Content) -> None:
    if key in SKOS_FORMATS and not content.terms:
        return
    entry = FORMATS[key]
    found = read_bytes(entry.write(content).encode(), f"v.{entry.extension}")
    if key in SKOS_FORMATS:  # RDF has no order of synonyms
        content = replace(
            content,
            terms=tuple(replace(t, synonyms=tuple(sorted(t.synonyms))) for t in content.terms),
        )
    assert found.terms == content.terms
    if key != "csv":
        assert found == content


@pytest.mark.parametrize("key", FORMATS)
@pytest.mark.parametrize("slug", vocabularies.available())
def test_the_shipped_vocabularies_survive_every_format(key: str, slug: str) -> None:
    entry = FORMATS[key]
    content = vocabularies.read(slug)
    found = read_bytes(entry.write(content).encode(), f"v.{entry.extension}")
    assert [t.code for t in found.terms] == [t.code for t in content.terms]
    assert [t.parent for t in found.terms] == [t.parent for t in content.terms]
    assert [set(t.synonyms) for t in found.terms] == [set(t.synonyms) for t in content.terms]
    assert [t.mappings for t in found.terms] == [t.mappings for t in content.terms]


def test_the_round_trip_would_notice_a_lost_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the tests above: without the old names in the file they differ."""
    content = vocabularies.read("bi-rads-mammography")
    bare = replace(content, terms=tuple(replace(t, mappings=()) for t in content.terms))
    for entry in FORMATS.values():
        found = read_bytes(entry.write(bare).encode(), f"v.{entry.extension}")
        assert [t.mappings for t in found.terms] != [t.mappings for t in content.terms]


def test_no_cell_of_a_csv_file_is_a_formula() -> None:
    names = ["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(1)", "'=1", "''@x", "＝1"]
    values = [{"code": name, "name": name, "help_text": "\t=1"} for name in names]
    content = Content("", "", "", "", checked_terms([Stated("", value) for value in values]))
    text = FORMATS["csv"].write(content)
    for row in list(csv.reader(io.StringIO(text.lstrip("\ufeff"))))[1:]:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "＝")) for cell in row)
    assert read_bytes(text.encode(), "v.csv").terms == content.terms


def test_a_file_of_another_program_is_read_with_what_it_leaves_out_filled_in() -> None:
    found = read_bytes(b"Name;Code\r\nMass;m\r\nBI-RADS mark;b\r\n", "terms.csv")
    assert [(t.code, t.phrase, t.category) for t in found.terms] == [
        ("m", "mass", "Other"),
        ("b", "BI-RADS mark", "Other"),
    ]
    turtle = """
        @prefix skos: <http://www.w3.org/2004/02/skos/core#> .
        @prefix owl: <http://www.w3.org/2002/07/owl#> .
        <http://x.example/v/animal> a skos:Concept ; skos:prefLabel "Tier"@de, "Animal"@en .
        <http://x.example/v/dog> a skos:Concept ; skos:prefLabel "Dog"@en ; skos:notation "D1" ;
          skos:altLabel "Hound"@en ; skos:broader <http://x.example/v/animal> ;
          skos:definition "Barks." ; owl:deprecated true .
    """
    animal, dog = sorted(read_bytes(turtle.encode(), "v.ttl").terms, key=lambda t: t.name)
    assert (animal.code, animal.name) == ("animal", "Animal")
    assert (dog.code, dog.parent, dog.synonyms, dog.help_text) == (
        "D1", "animal", ("Hound",), "Barks.",
    )  # fmt: skip
    assert dog.retired


RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:skos="http://www.w3.org/2004/02/skos/core#">{}</rdf:RDF>'
)
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + RDF.format("&b;")
SECRET = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + RDF.format("&a;")
DTD = '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + RDF.format("")
DECLARED = '<?xml version="1.0" encoding="utf-16"?>' + BOMB
TWO_PARENTS = """@prefix s: <http://www.w3.org/2004/02/skos/core#> .
<u:a> a s:Concept ; s:prefLabel "A" . <u:b> a s:Concept ; s:prefLabel "B" .
<u:c> a s:Concept ; s:prefLabel "C" ; s:broader <u:a>, <u:b> ."""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("v.rdf", BOMB, "Document type declarations are not read"),
        ("v.rdf", SECRET, "Document type declarations are not read"),
        ("v.xml", DTD, "Document type declarations are not read"),
        ("v.xml", DECLARED, "Document type declarations are not read"),
        ("v.rdf", "<rdf", "Line 1: this is not XML"),
        ("v.rdf", RDF.format(""), "no skos:Concept"),
        ("v.ttl", "a b c", "Line 1: this is not Turtle"),
        ("v.ttl", TWO_PARENTS, "one parent"),
        ("v.ttl", "[" * 5000, "Turtle"),
        ("v.json", "[" * 100_000, "nested too deeply"),
        ("v.json", '{\n"terms": [}', "Line 2: this is not JSON"),
        ("v.json", '{"@context": "http://127.0.0.1:9/c", "@graph": []}', "JSON-LD is not read"),
        ("v.csv", "", "empty"),
        ("v.csv", "name\nx", "Line 1: the header lacks code"),
        ("v.csv", "code,name,colour\n", "unknown or repeated columns: colour"),
        ("v.csv", 'code,name\na,"A\nB"\n,C\n', "Line 4: Give a code"),
        ("v.csv", "code,name\na,A\na,B\nc,A\nd,D,x\n", "Line 5: There are 3 cells"),
        ("v.csv", "code,name\na,A\na,B\nc,A\n", "Line 3: The code “a” is already used: Line 2."),
        ("v.csv", "code,name\na,A\na,B\nc,A\n", "Line 4: The name “A” is already used: Line 2."),
        ("v.csv", 'code,name\na,"A\n', "not sound CSV"),
        ("v.csv", "code,name\n" + "x" * 200_000, "Line 2"),
        ("v.csv", "code,name\na,A\x00", "control character U+0000"),
        ("v.csv", "code,name,retired\na,A,perhaps", "yes or no"),
        ("v.csv", "code,name\n" + "".join(f"{i},n{i}\n" for i in range(2001)), "at most 2000"),
        ("v.exe", "", "is not a vocabulary file"),
        ("v.csv", "x" * (MAX_BYTES + 1), "larger than 2 MB"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line(
    name: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", _no_network)
    with pytest.raises(VocabularyError) as refused:
        read_bytes(text.encode(), name)
    assert message in str(refused.value)


def test_text_in_another_encoding_is_refused_with_its_line() -> None:
    with pytest.raises(VocabularyError, match="Line 2: the file is not in UTF-8"):
        read_bytes("code,name\nä,A".encode("latin-1"), "v.csv")


@pytest.mark.parametrize("name", ["v.csv", "v.json", "v.ttl", "v.rdf"])
@given(
    data=st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode(errors="ignore"))
    )
)
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_read_or_refused_in_words(name: str, data: bytes) -> None:
    with contextlib.suppress(VocabularyError):
        read_bytes(data, name)


def _no_network(*args: Any) -> None:
    raise AssertionError("a vocabulary file made the reader open a connection")
