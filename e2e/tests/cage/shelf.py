"""Serves packages that are installed, as the registries do that they came from: so that `npx` and `uvx` install them without a network.

Arguments: the kind (`npm`, `pypi`), the package, the folder with what is installed (`node_modules`; for `pypi` any). Tells its origin in
its first line, and serves until it is ended."""

import base64
import contextlib
import hashlib
import http.server
import importlib.metadata as metadata
import io
import json
import re
import sys
import tarfile
import urllib.parse
import zipfile
from pathlib import Path


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


class PyPI:
    """The simple index (PEP 503) of a package and all that it needs, of wheels that are made again of what is installed."""

    def __init__(self, package, _folder):
        self.found = {}
        self.add(package)

    def add(self, name):
        if canonical(name) in self.found:
            return
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            # For another machine, or for an extra that nobody asked for.
            return
        self.found[canonical(name)] = distribution
        for requirement in distribution.requires or []:
            self.add(re.match(r"[A-Za-z0-9._-]+", requirement).group())

    def answer(self, path, _origin):
        *_, kind, name = path.strip("/").split("/")
        distribution = self.found[canonical(name.split("-")[0] if kind == "wheel" else name)]
        if kind == "wheel":
            return "application/zip", self.wheel(distribution)
        link = f"/wheel/{self.file(distribution)}"
        return "text/html", f'<a href="{link}">{self.file(distribution)}</a>'.encode()

    def file(self, distribution):
        tags = re.findall(r"^Tag: (\S+)$", distribution.read_text("WHEEL"), re.MULTILINE)
        parts = [tag.split("-") for tag in tags]
        tag = "-".join(".".join(dict.fromkeys(part[at] for part in parts)) for at in range(3))
        name = re.sub(r"[-_.]+", "_", distribution.metadata["Name"])
        return f"{name}-{distribution.version}-{tag}.whl"

    def wheel(self, distribution):
        bytes_of = io.BytesIO()
        with zipfile.ZipFile(bytes_of, "w") as archive:
            record, lines = None, []
            for file in distribution.files:
                text = str(file)
                # What the installation has made itself.
                is_made = text.startswith("..") or text.endswith((".pyc", "/INSTALLER", "/REQUESTED", "/direct_url.json"))
                if text.endswith(".dist-info/RECORD"):
                    record = text
                elif not is_made:
                    archive.write(file.locate(), text)
                    digest = f"{file.hash.mode}={file.hash.value}" if file.hash else ""
                    lines.append(f"{text},{digest},{file.size or ''}")
            archive.writestr(record, "\n".join([*lines, f"{record},,"]) + "\n")
        return bytes_of.getvalue()


class Npm:
    """Each package in the versions that are installed, beside each other or inside one another."""

    def __init__(self, _package, folder):
        self.folders = {}
        self.walk(Path(folder))

    def walk(self, modules):
        scoped = [entry for entry in modules.iterdir() if entry.name.startswith("@")]
        plain = [entry for entry in modules.iterdir() if not entry.name.startswith((".", "@"))]
        for folder in plain + [entry for scope in scoped for entry in scope.iterdir()]:
            described = folder / "package.json"
            if described.is_file():
                name = str(folder.relative_to(modules))
                version = json.loads(described.read_text())["version"]
                self.folders.setdefault(name, {})[version] = folder
            if (folder / "node_modules").is_dir():
                self.walk(folder / "node_modules")

    def answer(self, path, origin):
        if path.startswith("/tarball/"):
            name, version = path.removeprefix("/tarball/").removesuffix(".tgz").rsplit("/", 1)
            return "application/octet-stream", self.tarball(self.folders[name][version])
        name = path.strip("/")
        versions = {}
        for version, folder in self.folders[name].items():
            integrity = base64.b64encode(hashlib.sha512(self.tarball(folder)).digest()).decode()
            tarball = f"{origin}/tarball/{name}/{version}.tgz"
            described = json.loads((folder / "package.json").read_text())
            versions[version] = described | {"dist": {"tarball": tarball, "integrity": f"sha512-{integrity}"}}
        page = {"name": name, "dist-tags": {"latest": next(iter(versions))}, "versions": versions}
        return "application/json", json.dumps(page).encode()

    def tarball(self, folder):
        bytes_of = io.BytesIO()

        def plain(file):
            file.mtime = 0
            return None if file.name.startswith("package/node_modules") else file

        with tarfile.open(fileobj=bytes_of, mode="w") as archive:
            archive.add(folder, arcname="package", filter=plain)
        return bytes_of.getvalue()


def main():
    kind, package, folder = sys.argv[1:]
    shelf = {"npm": Npm, "pypi": PyPI}[kind](package, folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = urllib.parse.unquote(self.path)
            try:
                kind_of, body = shelf.answer(path, f"http://127.0.0.1:{self.server.server_port}")
            except (KeyError, OSError):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind_of)
            self.send_header("Content-Length", str(len(body)))
            # What was seen once may be taken for true later, without asking again.
            self.send_header("Cache-Control", "max-age=86400")
            self.end_headers()
            if self.command == "GET":
                # Whoever has read enough goes away.
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
