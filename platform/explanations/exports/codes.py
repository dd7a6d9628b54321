"""How terms are coded outside Unitscope: one table of code systems.

| code system of the term | FHIR `system` | DICOM designator | codes are |
| --- | --- | --- | --- |
| SNOMED CT (SCT) | http://snomed.info/sct | SCT | concept identifiers |
| RadLex | http://radlex.org | RADLEX | RIDs |
| LOINC | http://loinc.org | LN | LOINC numbers |
| DCM | http://dicom.nema.org/resources/ontology/DCM | DCM | codes of PS3.16 annex D |
| any other, BI-RADS too | urn:unitscope:vocabulary:<slug> | 99UNITSCOPE | Unitscope's own |

The terms of the shipped BI-RADS vocabulary carry Unitscope's own codes, like
"mass.margin.spiculated", and none that the ACR or DICOM (designator BI) assigned, so they are not
coded as if they did. What an own code means follows from the version, which is the vocabulary's,
and the display text; the slug of a vocabulary that a project owns is preceded by the project's.
Sources: HL7 Terminology (terminology.hl7.org), DICOM PS3.16 section 8.
"""

import re
from dataclasses import dataclass

from explanations.exports.record import VocabularyRecord


@dataclass(frozen=True)
class CodeSystem:
    uri: str
    designator: str
    version: str | None
    """None where the codes of the system are stable and the term names no version."""


OWN = "99UNITSCOPE"
KNOWN = {
    "snomed": ("http://snomed.info/sct", "SCT"),
    "snomedct": ("http://snomed.info/sct", "SCT"),
    "sct": ("http://snomed.info/sct", "SCT"),
    "radlex": ("http://radlex.org", "RADLEX"),
    "loinc": ("http://loinc.org", "LN"),
    "dcm": ("http://dicom.nema.org/resources/ontology/DCM", "DCM"),
}


def code_system(name: str, vocabulary: VocabularyRecord) -> CodeSystem:
    """The system of a term whose vocabulary calls its code system `name`."""
    if known := KNOWN.get(re.sub(r"[^a-z]", "", name.lower())):
        return CodeSystem(*known, version=None)
    owner = f"{vocabulary.owner}:" if vocabulary.owner else ""
    return CodeSystem(f"urn:unitscope:vocabulary:{owner}{vocabulary.slug}", OWN, vocabulary.version)
