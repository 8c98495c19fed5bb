"""A server of external metrics that knows one, `queue`; runs in a pod, with nothing but Python.

The API server asks on 8443; PUT /N on 8080 sets the metric.
"""

import http.server
import json
import ssl
import threading
import time
from typing import Any

GROUP_VERSION = "external.metrics.k8s.io/v1beta1"
length = 0


class Answers(http.server.BaseHTTPRequestHandler):
    """JSON for everything."""

    def tell(self, obj: Any) -> None:
        """`obj` as the whole answer."""
        body = json.dumps(obj).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Set(Answers):
    """Sets the metric."""

    def do_PUT(self) -> None:
        """PUT /N."""
        global length  # noqa: PLW0603 - the one thing that this program remembers
        length = int(self.path[1:])
        self.tell({})


class Api(Answers):
    """What an API server behind the aggregator answers."""

    def do_GET(self) -> None:
        """The metric, or that there is one."""
        if self.path.split("?")[0].endswith("/queue"):
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            item = {"metricName": "queue", "metricLabels": {}, "timestamp": now, "value": str(length)}
            kind, more = "ExternalMetricValueList", {"metadata": {}, "items": [item]}
            self.tell({"kind": kind, "apiVersion": GROUP_VERSION, **more})
            return
        one = {"name": "queue", "namespaced": True, "singularName": "", "verbs": ["get"]}
        resources = [{**one, "kind": "ExternalMetricValueList"}]
        kinds = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION}
        self.tell({**kinds, "resources": resources})


if __name__ == "__main__":
    api = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Api)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
    api.socket = context.wrap_socket(api.socket, server_side=True)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Set).serve_forever()
