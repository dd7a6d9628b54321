"""Which code is running: the version of the package and, where it is known, the commit."""

import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache

from django.conf import settings


@dataclass(frozen=True)
class CodeVersion:
    version: str
    commit: str | None
    """Hash of the commit; None where the code lies outside a repository."""

    def __str__(self) -> str:
        return f"{self.version} ({self.commit[:10]})" if self.commit else self.version


@cache
def code_version() -> CodeVersion:
    """The version of the running code; UNITSCOPE_COMMIT names the commit outside a repository."""
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]
    return CodeVersion(project["version"], settings.COMMIT or _checked_out())


def _checked_out() -> str | None:
    if not (settings.BASE_DIR / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
