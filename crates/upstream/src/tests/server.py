"""A stdio MCP server of both eras for tests. Each tool misbehaves in the way its name says."""
import json
import os
import signal
import subprocess
import sys
import time

ONLY = sys.argv[1] if len(sys.argv) > 1 else "both"
MODERN = "2026-07-28"
cancelled = []
state = {"calls": 0}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "starts"), "a") as starts:
    starts.write(f"{os.getpid()}\n")


def write(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(**members):
    write(json.dumps({"jsonrpc": "2.0", **members}))


def answer(ident, **result):
    say(id=ident, result={"resultType": "complete", **result})


def text(ident, words):
    answer(ident, content=[{"type": "text", "text": words}])


def read():
    line = sys.stdin.readline()
    if not line:
        if ONLY == "lingers":
            time.sleep(60)
        sys.exit(0)
    return json.loads(line)


def call(ident, name, params):
    meta = params.get("_meta", {})
    token = meta.get("progressToken")
    if name == "echo":
        text(ident, json.dumps(params["arguments"]))
    elif name == "meta":
        text(ident, json.dumps(meta, sort_keys=True))
    elif name == "pid":
        text(ident, str(os.getpid()))
    elif name == "count":
        state["calls"] += 1
        text(ident, str(state["calls"]))
    elif name == "env":
        text(ident, json.dumps(dict(os.environ)))
    elif name == "cwd":
        text(ident, os.getcwd())
    elif name == "progress":
        say(method="notifications/progress", params={"progressToken": token, "progress": 0.50})
        say(method="notifications/progress", params={"progressToken": token + 100, "progress": 1})
        say(method="notifications/progress", params={"progressToken": str(token), "progress": 1})
        text(ident, "done")
    elif name == "log":
        say(method="notifications/message", params={"level": "info", "data": "hello"})
        say(method="notifications/tools/list_changed")
        text(ident, "done")
    elif name == "garbage":
        write("Listening on port 8080 \x1b[31mred\x1b[0m")
        write('{"jsonrpc":"2.0","id":%d,"id":%d,"result":{}}' % (ident, ident))
        text(ident, "done")
    elif name == "flood":
        for _ in range(200):
            write("not MCP")
        time.sleep(60)
    elif name == "stray":
        say(id=ident + 4096, result={"resultType": "complete", "stray": True})
        say(id=str(ident), result={"resultType": "complete", "stray": True})
        say(id=-ident, result={"resultType": "complete", "stray": True})
        text(ident, "mine")
    elif name == "twice":
        text(ident, "first")
        text(ident, "second")
    elif name == "huge":
        write(json.dumps({"jsonrpc": "2.0", "id": ident, "result": {"x": "y" * 300_000}}))
    elif name == "never":
        pass
    elif name == "exit":
        sys.stderr.write("\x1b[31mfatal\x1b[0m: gone\n")
        sys.exit(3)
    elif name == "last_words":
        text(ident, "last words")
        sys.exit(0)
    elif name == "fork":
        child = subprocess.Popen(["sleep", "300"])
        text(ident, str(child.pid))
    elif name == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        text(ident, str(os.getpid()))
        while True:
            time.sleep(60)
    elif name == "ask":
        say(id="q1", method="sampling/createMessage", params={"messages": [], "maxTokens": 5})
        text(ident, json.dumps(read()))
    elif name == "ask_wrongly":
        say(id="q1", method="sampling/createMessage", params={"secret": "x"})
        text(ident, json.dumps(read()))
    elif name == "ping":
        say(id="p1", method="ping")
        text(ident, json.dumps(read()))
    elif name == "cancelled":
        text(ident, json.dumps(cancelled))
    elif name == "park":
        say(id=ident, result={"resultType": "input_required", "requestState": "s"})
    elif name == "pose":
        say(id=ident, error={"code": -31009, "message": "the policy does not permit this", "data": {"rule": "SK1701"}})
    elif name == "blast":
        for _ in range(20):
            say(method="notifications/message", params={"level": "info", "data": "x" * 60_000})
        say(method="notifications/message", params={"level": "info", "data": "y" * 70_000})
        text(ident, "done")
    elif name in ("chatter", "chatter_and_exit"):
        for step in range(300):
            say(method="notifications/progress", params={"progressToken": token, "progress": step})
        text(ident, "that is all")
        if name == "chatter_and_exit":
            sys.exit(0)
    elif name == "refuse":
        say(id=ident, error={"code": -32000, "message": "no", "data": {"why": "because"}})
    else:
        say(id=ident, error={"code": -32602, "message": "unknown tool"})


def tools(ident, params):
    names = ["echo", "count", "never"]
    cursor = params.get("cursor")
    at = int(cursor) if cursor else 0
    page = {"tools": [{"name": names[at], "inputSchema": {"type": "object"}}], "ttlMs": 1000}
    if at + 1 < len(names):
        page["nextCursor"] = str(at + 1)
    answer(ident, **page)


while True:
    message = read()
    method, ident, params = message.get("method"), message.get("id"), message.get("params", {})
    if ONLY == "mute":
        continue
    if method == "initialize" and ONLY != "modern":
        agreed = {"future": "2099-01-01", "older": "2025-06-18"}
        params["protocolVersion"] = agreed.get(ONLY, params["protocolVersion"])
        say(id=ident, result={"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                              "serverInfo": {"name": "test", "version": "1"}, "instructions": "be kind"})
    elif method == "server/discover" and ONLY != "legacy":
        answer(ident, supportedVersions=[MODERN], capabilities={"tools": {}})
    elif method == "tools/list":
        tools(ident, params)
    elif method == "tools/call":
        call(ident, params["name"], params)
    elif method == "notifications/cancelled":
        cancelled.append(params["requestId"])
    elif ident is not None:
        say(id=ident, error={"code": -32601, "message": "unknown method"})
