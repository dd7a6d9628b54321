"""A finished explanation as files that leave Unitscope: JSON, PDF, FHIR and DICOM.

All are made from one record (`record`), so they say the same, and equal records give equal bytes.
The libraries that write PDF, FHIR and DICOM are imported when a file is asked for (`forms`).
"""
