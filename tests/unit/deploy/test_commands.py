import sys
from pathlib import Path

import pytest

from deploy.native import commands
from deploy.native.errors import StackError


def test_output_is_returned_and_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "setup.log"

    output = commands.run([sys.executable, "-c", "print('done')"], failure="it failed", log=log)

    assert output == "done\n"
    assert log.read_text() == f"$ {sys.executable} -c print('done')\ndone\n"


def test_failure_is_one_sentence_with_the_line_that_names_the_error(tmp_path: Path) -> None:
    log = tmp_path / "setup.log"
    script = "print('ERROR: no network'); print('hint: none'); raise SystemExit(3)"

    with pytest.raises(StackError) as caught:
        commands.run([sys.executable, "-c", script], failure="Kafka could not be fetched", log=log)

    assert str(caught.value) == f"Kafka could not be fetched: ERROR: no network (all of it is in {log})"
