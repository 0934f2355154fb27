// Does with an official TypeScript client what a plan says, and prints what came back.
//
// The plan is one JSON object on standard input: `sdk` (`v1` is `@modelcontextprotocol/sdk`, `v2` is `@modelcontextprotocol/client`),
// `url` and `token`, or `command`, `mode` (`legacy`, `auto` or a revision; `v1` has one only) and `steps`. The report has the revision that was agreed
// on and, for each step, what came of it. The first argument is the folder where npm put the clients.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "package.json"));
const plan = JSON.parse(readFileSync(0, "utf8"));

/** What differs between the two packages. */
const sdks = {
  v1: () => {
    const types = require("@modelcontextprotocol/sdk/types.js");
    return {
      Client: require("@modelcontextprotocol/sdk/client/index.js").Client,
      Transport: require("@modelcontextprotocol/sdk/client/streamableHttp.js").StreamableHTTPClientTransport,
      Process: require("@modelcontextprotocol/sdk/client/stdio.js").StdioClientTransport,
      methods: {
        "elicitation/create": types.ElicitRequestSchema,
        "sampling/createMessage": types.CreateMessageRequestSchema,
        "notifications/resources/updated": types.ResourceUpdatedNotificationSchema,
      },
      call: (client, params, options) => client.callTool(params, undefined, options),
      version: (_, transport) => transport.protocolVersion,
      options: {},
    };
  },
  v2: () => {
    const sdk = require("@modelcontextprotocol/client");
    const mode = ["legacy", "auto"].includes(plan.mode) ? plan.mode : { pin: plan.mode };
    return {
      Client: sdk.Client,
      Transport: sdk.StreamableHTTPClientTransport,
      Process: require("@modelcontextprotocol/client/stdio").StdioClientTransport,
      methods: {},
      call: (client, params, options) => client.callTool(params, options),
      version: (client) => client.getNegotiatedProtocolVersion(),
      options: { versionNegotiation: { mode } },
    };
  },
};
const sdk = sdks[plan.sdk]();
const method = (name) => sdk.methods[name] ?? name;

const headers = plan.token ? { Authorization: `Bearer ${plan.token}` } : {};
const transport = plan.command
  ? new sdk.Process({ command: plan.command[0], args: plan.command.slice(1), stderr: "ignore" })
  : new sdk.Transport(new URL(plan.url), { requestInit: { headers } });
const client = new sdk.Client(
  { name: "typescript", version: "1" },
  { capabilities: { elicitation: { form: {} }, sampling: {} }, ...sdk.options },
);

let asked = [];
client.setRequestHandler(method("elicitation/create"), (request) => {
  asked.push(["elicitation/create", request.params.message]);
  const fields = request.params.requestedSchema.required ?? [];
  return { action: "accept", content: Object.fromEntries(fields.map((name) => [name, "me"])) };
});
client.setRequestHandler(method("sampling/createMessage"), (request) => {
  asked.push(["sampling/createMessage", request.params.messages[0].content.text]);
  return { role: "assistant", model: "m", content: { type: "text", text: "Kyoto" } };
});
const updates = [];
let updated = () => {};
client.setNotificationHandler(method("notifications/resources/updated"), (notification) => {
  updates.push(notification.params.uri);
  updated();
});

const tool = (step) => ({ name: step.name, arguments: step.arguments });

const LISTS = {
  tools: async (params) => (await client.listTools(params)).tools.map((one) => one.name),
  prompts: async (params) => (await client.listPrompts(params)).prompts.map((one) => one.name),
  resources: async (params) => (await client.listResources(params)).resources.map((one) => one.uri),
};

const VERBS = {
  async list(step) {
    const lists = {};
    for (const name of step.of) lists[name] = await LISTS[name]();
    return lists;
  },
  async call(step) {
    asked = [];
    return { result: await sdk.call(client, tool(step)), asked };
  },
  read: async (step) => ({ result: await client.readResource({ uri: step.uri }) }),
  prompt: async (step) => ({ result: await client.getPrompt({ name: step.name, arguments: step.arguments }) }),
  async complete(step) {
    const argument = { name: step.argument, value: step.value };
    return { result: await client.complete({ ref: { type: "ref/prompt", name: step.name }, argument }) };
  },
  async progress(step) {
    const progress = [];
    const onprogress = (one) => progress.push(one.progress);
    let tokens = 0;
    const onresumptiontoken = () => (tokens += 1);
    const result = await sdk.call(client, tool(step), { onprogress, onresumptiontoken });
    return { result, progress, tokens };
  },
  // Cancelled when the server is known to be at work: it has said so.
  async cancel(step) {
    const abort = new AbortController();
    const call = sdk.call(client, tool(step), { signal: abort.signal, onprogress: () => abort.abort("enough") });
    const cancelled = await call.then(() => false, () => true);
    return { cancelled, result: await sdk.call(client, tool(step.then)) };
  },
  async subscribe(step) {
    const told = new Promise((resolve) => (updated = resolve));
    let listening;
    if (plan.sdk === "v1" || sdk.version(client) < "2026") await client.subscribeResource({ uri: step.uri });
    else listening = await client.listen({ resourceSubscriptions: [step.uri] });
    await sdk.call(client, tool(step.then));
    await told;
    await listening?.close();
    return { updated: updates };
  },
};

async function attempt(step) {
  try {
    return await VERBS[step.do](step);
  } catch (error) {
    return { refused: String(error) };
  }
}

async function main() {
  try {
    await client.connect(transport);
    const report = { version: sdk.version(client, transport), done: [] };
    for (const step of plan.steps) report.done.push(await attempt(step));
    await transport.terminateSession?.();
    await client.close();
    return report;
  } catch (error) {
    return { failed: String(error) };
  }
}

process.stdout.write(`${JSON.stringify(await main())}\n`, () => process.exit(0));
