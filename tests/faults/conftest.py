"""What the hostile tests of the service share."""

import pytest
from service_shop import BASE_URL, open_shop
from starlette.testclient import TestClient

from vision_rec.service import create_app


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings, recommender = open_shop(tmp_path_factory.mktemp("hostile"))
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        yield client
