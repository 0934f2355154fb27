"""Does with the official Python client what a plan says, and prints what came back.

The plan is one JSON object on standard input: `url`, `token`, `mode` (`auto`, `legacy` or a revision), and what to do:
`call` (tool name and arguments, several), `read` (URIs), `prompt` (name and arguments), `complete` (reference and argument). With
`asked` it answers what servers ask, and reports the questions.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
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
        result = await doing
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)
    except Exception as error:
        return {"refused": str(error)}


class Asked:
    """Answers what servers ask, and keeps the questions."""

    def __init__(self):
        self.questions = []

    async def elicit(self, context, params):
        self.questions.append(["elicitation/create", params.message])
        fields = params.requested_schema["properties"]
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


async def main():
    """Connects, works, prints."""
    plan = json.load(sys.stdin)
    headers = {"Authorization": f"Bearer {plan['token']}"} if plan.get("token") else {}
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(plan["url"], http_client=http)
            asked = Asked()
            callbacks = {
                "elicitation_callback": asked.elicit,
                "sampling_callback": asked.sample,
                "list_roots_callback": asked.roots,
            }
            callbacks = callbacks if plan.get("asked") else {}
            async with Client(transport, mode=plan["mode"], **callbacks) as client:
                report = await work(client, plan)
                report["asked"] = asked.questions
    except BaseException as error:
        report = {"failed": repr(error)}
    print(json.dumps(report))


asyncio.run(main())
