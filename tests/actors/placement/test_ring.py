"""The ring, held against what the real daprd and placement did with the same hosts and ids."""

from __future__ import annotations

import pytest

from dapr_state.actors.placement.ring import Ring, point

HOSTS = [f"127.0.0.1:{port}" for port in (43001, 43002, 43003)]

# id, its hash, and the ports of the hosts that ran it with 100 and with 10 points for each host
ROUTED = [
    ("1", 11971653999726161180, 43003, 43001),
    ("2", 6310439919022701253, 43003, 43003),
    ("3", 17332574438168426095, 43003, 43002),
    ("4", 3694043993765439464, 43003, 43002),
    ("5", 4857364522537482099, 43002, 43002),
    ("6", 18157626401525412493, 43001, 43003),
    ("7", 7196851527326090453, 43003, 43001),
    ("8", 14417230777721981569, 43003, 43002),
    ("a", 1260069880423202611, 43003, 43003),
    ("A", 16988001655627931966, 43001, 43001),
    ("actor-1", 10015260465285814958, 43002, 43001),
    ("actor-2", 2764141328702138918, 43002, 43001),
    ("x" * 200, 12359593013019186836, 43003, 43001),
    ("order||17", 10599402330015923486, 43003, 43003),
    ("user:42", 12625098119807851057, 43001, 43001),
    ("Ünï", 13927903553098401773, 43003, 43003),
    ("日本", 2079308346175355875, 43003, 43001),
    ("🙂", 7909298410076051801, 43001, 43001),
    (" ", 6965810145286961838, 43003, 43001),
    ("a b", 2424236221425972894, 43003, 43001),
    ("a%20b", 9820103943419878250, 43001, 43001),
    ("0", 13878215301362151913, 43003, 43003),
    ("00", 2776827469101287290, 43002, 43001),
    ("01", 11727588971878261467, 43002, 43001),
    ("f47ac10b-58cc-4372-a567-0e02b2c3d479", 1834569023625863663, 43003, 43001),
]

A = ["10.0.0.1:50002", "10.0.0.2:50002", "10.0.0.3:50002"]
B = ["127.0.0.1:43302", "192.0.2.2:43102"]
C = ["[2001:db8::1]:50002", "host-a:50002"]

# hosts, points for each, id, owner: from daprd's own hashing
COMPUTED = [
    (A, 100, "1", A[2]),
    (A, 100, "actor-a", A[1]),
    (A, 100, "user||42", A[2]),
    (A, 100, "Ünï", A[1]),
    (A, 100, "0b1c7f5e-0000-4000-8000-000000000001", A[1]),
    (A, 100, "w112", A[2]),  # behind the last point
    (B, 100, "1", B[1]),
    (B, 100, "Ünï", B[0]),
    (C, 100, "order-1", C[0]),
    (C, 100, "order-2", C[1]),
    (A, 10, "w218", A[2]),
    (A, 100, "w218", A[1]),
]


@pytest.mark.parametrize(("actor_id", "hash_", "of_100", "of_10"), ROUTED)
def test_an_id_belongs_to_the_host_that_daprd_called(actor_id: str, hash_: int, of_100: int, of_10: int) -> None:
    """Whatever its letters, with either number of points."""
    assert point(actor_id) == hash_
    assert Ring(HOSTS, 100).owner(actor_id) == f"127.0.0.1:{of_100}"
    assert Ring(HOSTS, 10).owner(actor_id) == f"127.0.0.1:{of_10}"


@pytest.mark.parametrize(("hosts", "factor", "actor_id", "owner"), COMPUTED)
def test_rings_of_other_names_are_daprds_too(hosts: list[str], factor: int, actor_id: str, owner: str) -> None:
    """In whatever order the hosts come."""
    assert Ring(hosts, factor).owner(actor_id) == owner
    assert Ring(reversed(hosts), factor).owner(actor_id) == owner


@pytest.mark.parametrize(
    ("factor", "size", "ends"),
    [
        (100, 300, [(165679356754306676, 43003), (18387843086683701715, 43003)]),
        (10, 30, [(1436976681389230673, 43003), (17852535173865206251, 43003)]),
    ],
)
def test_the_points_are_daprds(factor: int, size: int, ends: list[tuple[int, int]]) -> None:
    """The first and the last of them, and how many there are."""
    points = Ring(HOSTS, factor).points

    assert len(points) == size
    assert [points[0], points[-1]] == [(each, f"127.0.0.1:{port}") for each, port in ends]


@pytest.mark.parametrize(("hosts", "factor"), [([], 100), (HOSTS, 0)])
def test_a_ring_without_points_owns_nothing(hosts: list[str], factor: int) -> None:
    """Neither without hosts, nor where each has no point."""
    assert Ring(hosts, factor).owner("1") is None
