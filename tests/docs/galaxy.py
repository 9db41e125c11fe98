# SPDX-License-Identifier: GPL-3.0-or-later
"""A Galaxy server of one collection: what ``ansible-galaxy collection install NAME`` asks of https://galaxy.ansible.com."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextlib.contextmanager
def serve(artifact: Path) -> Iterator[str]:
    """Serve an artifact on a free port of 127.0.0.1; give the server's address."""
    with tarfile.open(artifact) as archive:
        manifest = archive.extractfile("MANIFEST.json")
        assert manifest
        about = json.load(manifest)["collection_info"]
    collection = f"/api/v3/collections/{about['namespace']}/{about['name']}"
    versions = f"{collection}/versions"
    one = f"{versions}/{about['version']}"

    class Galaxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer as version 3 of Galaxy's interface does."""
            path = self.path.partition("?")[0].rstrip("/")
            address = f"http://127.0.0.1:{self.server.server_port}"
            if path == f"/{artifact.name}":
                self._send(artifact.read_bytes())
                return
            documents = {
                "/api": {"available_versions": {"v3": "v3/"}},
                collection: {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"},
                versions: {
                    "meta": {"count": 1},
                    "links": {"next": None},
                    "data": [{"version": about["version"], "href": f"{one}/"}],
                },
                one: {
                    "namespace": {"name": about["namespace"]},
                    "collection": {"name": about["name"]},
                    "version": about["version"],
                    "href": f"{one}/",
                    "download_url": f"{address}/{artifact.name}",
                    "artifact": {"sha256": hashlib.sha256(artifact.read_bytes()).hexdigest()},
                    "metadata": {"dependencies": about["dependencies"]},
                    "signatures": [],
                },
            }
            if path in documents:
                self._send(json.dumps(documents[path]).encode())
            else:
                self.send_error(404)

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Galaxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
