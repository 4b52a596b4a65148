"""GET /api/status: how the service is."""

import falcon

from web.params import expect_no_parameters
from web.resources.base import Resource, write_json
from web.status import ProgramSource, status_of


class Status(Resource):
    """Programs, stages and dead letters."""

    def __init__(self, programs: ProgramSource) -> None:
        self._programs = programs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with what every program said within the last seconds."""
        expect_no_parameters(req.params)
        write_json(resp, status_of(self._programs.heard()), cache="no-store")
