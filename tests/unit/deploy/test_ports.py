import pytest

from deploy.native.errors import StackError
from deploy.native.ports import DEFAULTS, Ports


def test_offset_moves_every_port() -> None:
    ports = Ports({"PORT_OFFSET": "100"})

    moved = {name: ports.of(name) for name in DEFAULTS}

    assert moved == {name: port + 100 for name, port in DEFAULTS.items()}


def test_port_set_outright_ignores_the_offset() -> None:
    ports = Ports({"PORT_OFFSET": "100", "REST_PORT": "9000"})

    chosen = (ports.of("rest"), ports.of("ws"))

    assert chosen == (9000, 3104)


def test_health_ports_of_sixty_four_workers_per_queue_are_distinct() -> None:
    ports = Ports({})

    used = [ports.of(f"workers-{queue}", number) for queue in ("persist", "fanout") for number in range(1, 65)]
    used += [port for name, port in DEFAULTS.items() if not name.startswith("workers")]

    assert len(used) == len(set(used))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT_OFFSET": "abc"}, "PORT_OFFSET='abc': expected a whole number from 0 to 38518"),
        ({"PORT_OFFSET": "-1"}, "PORT_OFFSET='-1': expected a whole number from 0 to 38518"),
        ({"PORT_OFFSET": "40000"}, "PORT_OFFSET='40000': expected a whole number from 0 to 38518"),
        ({"WS_PORT": "0"}, "WS_PORT='0': expected a whole number from 1 to 65535"),
        ({"REST_PORT": "65536"}, "REST_PORT='65536': expected a whole number from 1 to 65535"),
    ],
)
def test_port_that_cannot_be_is_refused_by_name(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(StackError) as caught:
        Ports(variables)

    assert str(caught.value) == sentence
