import pytest

from tests.platform.factories import World, build_world


@pytest.fixture
def world(db: None) -> World:
    return build_world(images=6, units=6)
