"""nginx as a plain mutual-TLS proxy: what any platform must do at least, and does no more."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import children
from benchmarks.waiting import wait_for_port

INSTALL = "apt-get install --no-install-recommends nginx-light (the program only: its service may stay off)"


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM files of one side: its certificate, its key, whom it trusts."""

    certificate: Path
    key: Path
    trusted: Path


def program() -> str | None:
    """Where nginx is; None when it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def configuration(*, folder: Path, port: int, producer_port: int, identity: Identity) -> str:
    """One worker, kept connections on both sides, certificates verified on both sides, nothing logged."""
    # Keys are read before nginx gives up root, but its temporary files lie in a folder that only root may enter.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
daemon off; {user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    client_max_body_size 50m; client_body_buffer_size 128k; proxy_buffers 16 16k;
    keepalive_timeout 300s; keepalive_requests 100000000;
    ssl_protocols TLSv1.2 TLSv1.3;
    upstream producer {{
        server 127.0.0.1:{producer_port};
        keepalive 128; keepalive_requests 100000000; keepalive_timeout 300s; keepalive_time 24h;
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {identity.certificate}; ssl_certificate_key {identity.key};
        ssl_client_certificate {identity.trusted}; ssl_verify_client on; ssl_verify_depth 3;
        location / {{
            proxy_pass https://producer; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_ssl_certificate {identity.certificate}; proxy_ssl_certificate_key {identity.key};
            proxy_ssl_trusted_certificate {identity.trusted}; proxy_ssl_verify on; proxy_ssl_verify_depth 3;
            proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.2 TLSv1.3;
        }}
    }}
}}
"""


@contextmanager
def running(*, folder: Path, port: int, producer_port: int, identity: Identity) -> Iterator[list[int]]:
    """nginx on `port` in front of the producer; gives the processes that carry calls.

    Raises FileNotFoundError when nginx is not installed, RuntimeError with its own words when it does not start.
    """
    nginx = program()
    if nginx is None:
        raise FileNotFoundError(f"nginx is not installed: {INSTALL}")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "nginx.conf"
    file.write_text(configuration(folder=folder, port=port, producer_port=producer_port, identity=identity))
    log = folder / "error.log"
    with log.open("ab") as output:
        process = subprocess.Popen([nginx, "-p", str(folder), "-e", str(log), "-c", str(file)], stderr=output)
    try:
        wait_for_port(port, alive=lambda: process.poll() is None, log=log)
        yield children(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=10)
