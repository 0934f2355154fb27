"""Does with the official Python client what a plan says, and prints what came back.

The plan is one JSON object on standard input: `url` and `token`, or `command`, `mode` (`auto`, `legacy` or a revision), and what to do:
`call` (tool name and arguments, several), `read` (URIs), `prompt` (name and arguments), `complete` (reference and argument). With
`asked` it answers what servers ask, and reports the questions. With `steps` it does these instead, one after the other, as
`typescript_client.mjs` does.
"""

import asyncio
import json
import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    PromptReference,
    ResourceTemplateReference,
    Root,
    TextContent,
)


async def listing(ask, member, name):
    """The names in a list over all of its pages, or why there are none."""
    names, cursor = [], None
    try:
        for _ in range(100):
            page = await ask(cursor=cursor)
            names += [str(getattr(item, name)) for item in getattr(page, member)]
            cursor = page.next_cursor
            if cursor is None:
                return names
        return "no last page"
    except Exception as error:
        return f"refused: {error}"


async def attempt(doing):
    """A result as JSON, or why there is none."""
    try:
        return dump(await doing)
    except Exception as error:
        return {"refused": str(error)}


class Asked:
    """Answers what servers ask, and keeps the questions."""

    def __init__(self):
        self.questions = []
        self.updates = []
        self.updated = anyio.Event()

    async def hear(self, message):
        if getattr(message, "method", "") == "notifications/resources/updated":
            self.updates.append(str(message.params.uri))
            self.updated.set()

    async def elicit(self, context, params):
        self.questions.append(["elicitation/create", params.message])
        fields = params.requested_schema.get("required") or params.requested_schema["properties"]
        return ElicitResult(action="accept", content={name: "me" for name in fields})

    async def sample(self, context, params):
        self.questions.append(["sampling/createMessage", params.messages[0].content.text])
        return CreateMessageResult(role="assistant", model="m", content=TextContent(type="text", text="Kyoto"))

    async def roots(self, context):
        self.questions.append(["roots/list", ""])
        return ListRootsResult(roots=[Root(uri="file:///srv/work")])


async def work(client, plan):
    """Everything the plan asks for."""
    report = {
        "version": client.protocol_version,
        "server": client.server_info.name if client.server_info else None,
        "tools": await listing(client.list_tools, "tools", "name"),
        "prompts": await listing(client.list_prompts, "prompts", "name"),
        "resources": await listing(client.list_resources, "resources", "uri"),
        "templates": await listing(client.list_resource_templates, "resource_templates", "uri_template"),
        "calls": [await attempt(client.call_tool(name, arguments)) for name, arguments in plan.get("call", [])],
        "reads": [await attempt(client.read_resource(uri)) for uri in plan.get("read", [])],
        "prompted": [await attempt(client.get_prompt(name, arguments)) for name, arguments in plan.get("prompt", [])],
        "completed": [],
    }
    for kind, name, argument, value in plan.get("complete", []):
        reference = PromptReference(name=name) if kind == "prompt" else ResourceTemplateReference(uri=name)
        completion = client.complete(reference, {"name": argument, "value": value})
        report["completed"].append(await attempt(completion))
    return report


class Steps:
    """One step of a plan each; what a step returns is reported."""

    def __init__(self, client, asked):
        self.client = client
        self.asked = asked

    async def tool(self, step, **options):
        return dump(await self.client.call_tool(step["name"], step["arguments"], **options))

    async def list(self, step):
        lists = {
            "tools": (self.client.list_tools, "tools", "name"),
            "prompts": (self.client.list_prompts, "prompts", "name"),
            "resources": (self.client.list_resources, "resources", "uri"),
        }
        return {name: await listing(*lists[name]) for name in step["of"]}

    async def call(self, step):
        self.asked.questions = []
        return {"result": await self.tool(step), "asked": self.asked.questions}

    async def read(self, step):
        return {"result": dump(await self.client.read_resource(step["uri"]))}

    async def prompt(self, step):
        return {"result": dump(await self.client.get_prompt(step["name"], step["arguments"]))}

    async def complete(self, step):
        argument = {"name": step["argument"], "value": step["value"]}
        return {"result": dump(await self.client.complete(PromptReference(name=step["name"]), argument))}

    async def progress(self, step):
        steps = []

        async def note(progress, total, message):
            steps.append(progress)

        return {"result": await self.tool(step, progress_callback=note), "progress": steps}

    async def cancel(self, step):
        """Cancels when the server is known to be at work: it has said so."""
        with anyio.CancelScope() as scope:

            async def enough(progress, total, message):
                scope.cancel()

            await self.tool(step, progress_callback=enough)
        return {"cancelled": scope.cancelled_caught, "result": await self.tool(step["then"])}

    async def subscribe(self, step):
        if self.client.protocol_version >= "2026":
            async with self.client.listen(resource_subscriptions=[step["uri"]]) as subscription:
                await self.tool(step["then"])
                async for event in subscription:
                    return {"updated": [str(event.uri)]}
        await self.client.subscribe_resource(step["uri"])
        await self.tool(step["then"])
        await self.asked.updated.wait()
        return {"updated": self.asked.updates}


def dump(result):
    """A result as JSON."""
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def take(steps, step):
    """What came of one step, or why nothing did."""
    try:
        return await getattr(steps, step["do"])(step)
    except Exception as error:
        return {"refused": repr(error)}


async def walk(client, asked, plan):
    """Every step of the plan."""
    steps = Steps(client, asked)
    return {"version": client.protocol_version, "done": [await take(steps, step) for step in plan["steps"]]}


async def main():
    """Connects, works, prints."""
    plan = json.load(sys.stdin)
    headers = {"Authorization": f"Bearer {plan['token']}"} if plan.get("token") else {}
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            if plan.get("command"):
                program, *rest = plan["command"]
                transport = stdio_client(StdioServerParameters(command=program, args=rest))
            else:
                transport = streamable_http_client(plan["url"], http_client=http)
            asked = Asked()
            callbacks = {
                "elicitation_callback": asked.elicit,
                "sampling_callback": asked.sample,
                "list_roots_callback": asked.roots,
                "message_handler": asked.hear,
            }
            callbacks = callbacks if plan.get("asked") or plan.get("steps") else {}
            async with Client(transport, mode=plan["mode"], **callbacks) as client:
                if plan.get("steps"):
                    report = await walk(client, asked, plan)
                else:
                    report = await work(client, plan)
                    report["asked"] = asked.questions
    except BaseException as error:
        report = {"failed": repr(error)}
    print(json.dumps(report))


asyncio.run(main())
