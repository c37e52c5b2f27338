"""A stand-in for a Qdrant server, for where none can be had. It is not Qdrant.

It speaks the part of Qdrant's REST protocol that our requests use, over the in-memory mode of Qdrant's
own Python client: one process, one lock, exact searches, and all is lost at its end. That shows that our
requests are valid (each body is checked with the client library's own models, and what is not known is
refused), that our steps are safe in their order, and what comes of a server that goes away. How fast a
server is, and what it does with indexes, shards, replicas, quantization and strict mode, it does not show.

`python tests/qdrant_server.py [--port 0] [--api-key KEY]` prints its port and serves until it is killed.
"""

from __future__ import annotations

import argparse
import re
import socket
import threading
import warnings
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from qdrant_client import QdrantClient, models

# What the client's own errors say, and what a server answers then; 400 otherwise.
STATUS_OF = {"not found": 404, "does not exist": 404, "already exists": 409}


class RefusedError(Exception):
    """A request that gets a status and a message."""


class Held:
    """What the server holds: the client in memory, and what that mode forgets."""

    def __init__(self) -> None:
        self.client, self.lock = QdrantClient(":memory:"), threading.Lock()
        self.settings, self.indexes = {}, {}

    def answer(self, asked, content):
        """Return what a request asks for; its body is checked before its turn comes."""
        for route, (model, function) in ROUTES.items():
            if found := re.fullmatch(route.replace("HERE", "/collections/([^/]+)"), asked):
                body = [checked_as(model).validate_json(content)] if model else []
                with self.lock:
                    return function(self, *map(unquote, found.groups()), *body)
        raise RefusedError(404, "")

    def change_aliases(self, body):
        """Do all or nothing; under the lock nobody sees one change without the other."""
        return self.client.update_collection_aliases(body.actions)

    def create(self, name, body):
        """Make a collection; local mode forgets most of its settings, so they are kept here."""
        vectors = {"vectors_config": body.vectors, "sparse_vectors_config": body.sparse_vectors}
        made = self.client.create_collection(name, metadata=body.metadata, **vectors)
        asked = body.model_dump(exclude_none=True, exclude={"metadata"}).items()
        settings = {key.replace("optimizers", "optimizer"): value for key, value in asked}
        self.settings[name], self.indexes[name] = settings, {}
        return made

    def collection(self, name):
        """Tell of a collection, with its settings and the indexes of its payload."""
        found = self.client.get_collection(name).model_dump(exclude_none=True)
        name = self.client._client.aliases.get(name, name)
        for key, value in self.settings[name].items():
            config = found["config"] if key.endswith("_config") else found["config"]["params"]
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
        return {**found, "payload_schema": self.indexes[name]}

    def update(self, name, body):
        """Change metadata, which is all that we ask for."""
        if body.model_dump(exclude_none=True).keys() != {"metadata"}:
            raise RefusedError(400, "the stand-in changes metadata only")
        return self.client.update_collection(name, metadata=body.metadata)

    def index(self, name, body):
        """Note an index of the payload; local mode has none."""
        schema, points = body.field_schema, self.client.count(name).count
        params = None if isinstance(schema, models.PayloadSchemaType) else schema
        told = {"data_type": getattr(schema, "type", schema), "params": params, "points": points}
        self.indexes[name][body.field_name] = told
        return DONE

    def upsert(self, name, body):
        """Write points, or insert only: local mode knows the modes as servers from 1.17 on do."""
        points = body.batch if isinstance(body, models.PointsBatch) else body.points
        modes = {"update_mode": body.update_mode, "update_filter": body.update_filter}
        self.client.upsert(name, points, **modes)
        return DONE

    def delete(self, name, body):
        """Delete points."""
        self.client.delete(name, body)
        return DONE

    def set_payload(self, name, body):
        """Change keys of payloads."""
        self.client.set_payload(name, body.payload, body.points)
        return DONE

    def overwrite_payload(self, name, body):
        """Put payloads in place of others."""
        self.client.overwrite_payload(name, body.payload, body.points)
        return DONE

    def update_vectors(self, name, body):
        """Put vectors in place of others."""
        self.client.update_vectors(name, body.points)
        return DONE

    def delete_vectors(self, name, body):
        """Take vectors from points."""
        self.client.delete_vectors(name, list(body.vector), body.points)
        return DONE

    def retrieve(self, name, body):
        """Give points by their ids."""
        return self.client.retrieve(name, body.ids, **wanted(body))

    def count(self, name, body):
        """Count points."""
        return self.client.count(name, self.filter(name, body.filter))

    def query(self, name, body):
        """Search, once or several times."""
        found = self.client.query_batch_points(name, getattr(body, "searches", [body]))
        return found if hasattr(body, "searches") else found[0]

    def scroll(self, name, body):
        """Give a page of points."""
        page = {"scroll_filter": self.filter(name, body.filter), "order_by": body.order_by}
        page |= {"limit": body.limit or 10, "offset": body.offset}
        points, behind = self.client.scroll(name, **page, **wanted(body))
        return {"points": points, "next_page_offset": behind}

    def filter(self, name, asked):
        """Leave out that points have a vector where all do: local mode asks each, a server does not."""
        lacking = self.client._client._get_collection(name).deleted_per_vector
        match asked and asked.model_dump(exclude_none=True):
            case {"must": [{"has_vector": vector}], **rest} if not rest and vector in lacking:
                return asked if lacking[vector].any() else None
        return asked


def wanted(body):
    """Return what of points is asked for: their payload unless told otherwise, vectors where told."""
    payload = True if body.with_payload is None else body.with_payload
    return {"with_payload": payload, "with_vectors": body.with_vector or False}


# By method and path: the model of the body, and what answers. HERE is /collections/NAME.
ROUTES = {
    "GET /": (None, lambda held: held.client.info()),
    "GET /collections": (None, lambda held: held.client.get_collections()),
    "GET /aliases": (None, lambda held: held.client.get_aliases()),
    "POST /collections/aliases": (models.ChangeAliasesOperation, Held.change_aliases),
    "GET HERE/exists": (None, lambda held, name: {"exists": held.client.collection_exists(name)}),
    "GET HERE": (None, Held.collection),
    "PUT HERE": (models.CreateCollection, Held.create),
    "PATCH HERE": (models.UpdateCollection, Held.update),
    "DELETE HERE": (None, lambda held, name: held.client.delete_collection(name)),
    "PUT HERE/index": (models.CreateFieldIndex, Held.index),
    "PUT HERE/points": (models.PointInsertOperations, Held.upsert),
    "POST HERE/points": (models.PointRequest, Held.retrieve),
    "POST HERE/points/payload": (models.SetPayload, Held.set_payload),
    "PUT HERE/points/payload": (models.SetPayload, Held.overwrite_payload),
    "PUT HERE/points/vectors": (models.UpdateVectors, Held.update_vectors),
    "POST HERE/points/vectors/delete": (models.DeleteVectors, Held.delete_vectors),
    "POST HERE/points/delete": (models.PointsSelector, Held.delete),
    "POST HERE/points/scroll": (models.ScrollRequest, Held.scroll),
    "POST HERE/points/count": (models.CountRequest, Held.count),
    "POST HERE/points/query": (models.QueryRequest, Held.query),
    "POST HERE/points/query/batch": (models.QueryRequestBatch, Held.query),
}
DONE = {"operation_id": 0, "status": "completed"}
checked_as = cache(TypeAdapter)


class Handler(BaseHTTPRequestHandler):
    """Answers as Qdrant does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self):
        """Answer requests until the connection is cut, by whom ever."""
        with suppress(ConnectionError):
            super().handle()

    def answer(self):
        """Answer one request."""
        try:
            status, result = 200, self.result()
        except RefusedError as error:
            status, result = error.args
        except ValidationError as error:
            status, result = 400, f"Format error in JSON body: {error.errors()[0]['msg']}"
        except ValueError as error:
            known = (code for words, code in STATUS_OF.items() if words in str(error))
            status, result = next(known, 400), f"Wrong input: {error}"
        told = {"status": {"error": result}} if status > 200 else {"result": result, "status": "ok"}
        # Two things come without the rest: the version, and what is wrong with a key.
        alone = status == 401 or isinstance(result, models.VersionInfo)
        content = to_json(result if alone else {**told, "time": 0.0})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - names not ours

    def result(self):
        """Return what is asked for by those who may."""
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        if length > 32 << 20:
            raise RefusedError(400, f"JSON payload ({length} bytes) is larger than allowed")
        path = urlsplit(self.path).path.removeprefix(self.server.prefix)
        key, given = self.server.api_key, self.headers.get("api-key")
        if key and path != "/" and given != key:
            raise RefusedError(401, f"{'Invalid' if given else 'Must provide an'} API key")
        return self.server.held.answer(f"{self.command} {path}", content)

    def log_message(self, *args):
        """Say nothing."""


class StandIn(ThreadingHTTPServer):
    """Serves what is held, with a key where there is one, behind a prefix as proxies have it."""

    daemon_threads = False

    def __init__(self, port=0, held=None, api_key=None, prefix="") -> None:
        self.held, self.api_key, self.prefix = held or Held(), api_key, prefix
        self.connections = set()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request, client_address):
        """Remember a connection, to cut it at the end."""
        self.connections.add(request)
        super().process_request(request, client_address)


@contextmanager
def running(again=None, **options):
    """Give a server in a thread, at a `url`; one that was stopped serves again what it held."""
    if again:
        options = {"port": again.server_port, "held": again.held}
    with StandIn(**options) as server:
        server.url = f"qdrant://127.0.0.1:{server.server_port}{server.prefix}"
        threading.Thread(target=server.serve_forever, args=[0.02]).start()
        try:
            yield server
        finally:
            server.shutdown()
            for connection in server.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "Local mode is not recommended")
    with StandIn(given.port, api_key=given.api_key) as server:
        print(server.server_port, flush=True)  # noqa: T201
        server.serve_forever()


if __name__ == "__main__":
    main()
