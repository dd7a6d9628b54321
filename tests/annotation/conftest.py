import pytest

from tests.platform.conftest import api_client_of
from tests.platform.factories import World, build_world

__all__ = ["api_client_of"]


@pytest.fixture
def world(db: None) -> World:
    return build_world(images=6, units=6)
