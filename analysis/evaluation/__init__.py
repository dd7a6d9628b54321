"""Do explanations deserve trust? Measures with controls and intervals over whole patients.

Everything here works on arrays; only `observation` runs a model (and needs torch).
"""
