"""A small server written with FastMCP, over standard input and output, or over HTTP on the port of the first argument."""

import asyncio
import sys

from fastmcp import Context, FastMCP

server = FastMCP("fastmcp")
cancelled = asyncio.Event()


@server.tool
def add(a: int, b: int) -> int:
    """Adds two whole numbers."""
    return a + b


@server.tool
async def ask(context: Context) -> str:
    """Asks the user for a name."""
    answer = await context.elicit("Who are you?", str)
    return f"{answer.action}: {getattr(answer, 'data', None)}"


@server.tool
async def steps(context: Context) -> str:
    """Reports progress while it works."""
    for done in (1, 2, 3):
        await context.report_progress(done, 3)
        await asyncio.sleep(0.05)
    return "The tool is done."


@server.tool
async def wait(context: Context) -> str:
    """Says that it began, and goes on for a minute."""
    await context.report_progress(0, 1)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        cancelled.set()
        raise
    return "Nobody cancelled."


@server.tool
async def was_cancelled() -> str:
    """Answers as soon as a wait was cancelled, and forgets it then."""
    await asyncio.wait_for(cancelled.wait(), 10)
    cancelled.clear()
    return "cancelled"


@server.resource("note://today")
def today() -> str:
    """A note."""
    return "a note of today"


@server.prompt
def greet(name: str) -> str:
    """A greeting."""
    return f"Say hello to {name}."


@server.completion
def names(reference, argument, context):
    """Names that begin with what was written."""
    return [name for name in ("Hakone", "Kyoto") if name.startswith(argument.value)]


if len(sys.argv) > 1:
    server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
else:
    server.run(show_banner=False)
