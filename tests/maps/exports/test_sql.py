import numpy as np
import pytest
from tests.helpers import assert_close
from tests.postgres import server

from intertwine.errors import InputError
from intertwine.maps.exports import pgvector_sql
from intertwine.maps.linear_map import LinearMap
from intertwine.spaces import Space


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Return a connection to a PostgreSQL with pgvector of this module's own."""
    with server(tmp_path_factory) as (_, opened):
        yield opened


def run(connection, linear_map, name, **options):
    """Run a map's statements in one transaction."""
    with connection.transaction():
        for statement in pgvector_sql(linear_map, name, **options):
            connection.execute(statement)


def mapped_by(connection, name, vectors):
    """Return what a function of the database makes of vectors."""
    return np.array(
        [
            connection.execute(f"SELECT {name}(%s::vector)::real[]", [str(v.tolist())]).fetchone()[
                0
            ]
            for v in vectors
        ]
    )


def test_a_function_maps_as_apply_does(connection, linear_map, vectors, expected, unit):
    """The function gives what `LinearMap.apply` gives; NULL stays NULL."""
    run(connection, linear_map, "a_to_b", unit=unit)
    assert_close(mapped_by(connection, "a_to_b", vectors), expected, 1e-6)
    assert connection.execute("SELECT a_to_b(NULL)").fetchone() == (None,)


def test_a_later_map_takes_the_place_of_an_earlier_one(connection, linear_map, vectors):
    """Run again with another map, the statements leave that one alone."""
    other = LinearMap(
        2 * linear_map.weight[:3], linear_map.bias[:3], linear_map.source, Space("b", 3), "drawn"
    )
    for each in (linear_map, other):
        run(connection, each, "again")
        assert_close(mapped_by(connection, "again", vectors), each.apply(vectors), 1e-6)


@pytest.mark.parametrize(
    "name", ["select", "table", "user", "null", "coalesce", "interval", "order"]
)
def test_a_word_of_sqls_own_is_a_name(connection, linear_map, vectors, expected, unit, name):
    """Reserved words, types and built-in functions alike; called in quotes."""
    run(connection, linear_map, name, unit=unit)
    assert_close(mapped_by(connection, f'"{name}"', vectors), expected, 1e-6)


@pytest.mark.parametrize("name", ["", "1a", "A", "a-b", "a; DROP TABLE b", "é", "a" * 56])
def test_names_that_would_need_quotes_are_refused(linear_map, name):
    """A name is letters, digits and underscores, and leaves room for its table's."""
    with pytest.raises(InputError, match="expected at most 55 lower-case letters"):
        pgvector_sql(linear_map, name)


def test_dimensions_beyond_pgvectors_are_refused():
    """What pgvector has no vectors for is refused before anything is made."""
    wide = LinearMap(np.ones((2, 16_001)), np.ones(2), Space("a", 16_001), Space("b", 2), "drawn")
    with pytest.raises(InputError, match="expected at most 16000"):
        pgvector_sql(wide, "f")
