// An OpenID provider for the tests: `oidc-provider`, a certified implementation that others wrote, set up for MCP.
//
//     node oidc.mjs <folder with node_modules> '<options as JSON>'
//
// When it listens it prints one line, {"issuer", "port", "tls_port"}, and it ends when its standard input closes. Everything is
// on 127.0.0.1. `OPTIONS` below lists the options with their defaults. What logs in is a program: nobody sees a page. The account is
// the request's `login_hint`, which has to be one of `accounts`, and whatever is asked for is consented to.
//
// What it keeps strictly, as `oidc-provider` does or because it is told to here:
// - An access token for a resource is a JWT of RFC 9068 whose `aud` is that resource, character by character (RFC 8707); a
//   resource that is not listed is `invalid_target`. Without a resource the token is opaque.
// - PKCE with S256 for every client (OAuth 2.1), `iss` in the authorization response (RFC 9207), exact redirect URIs.
// - A refresh token works once. Used twice, the whole grant is gone.
// - A client with `dpop_bound_access_tokens` gets none without a proof (RFC 9449). One with
//   `tls_client_certificate_bound_access_tokens` gets none without a certificate, hence at the second listener only (RFC 8705).
// - Metadata stands at the two places that standards name, {issuer}/.well-known/openid-configuration and, with the issuer's
//   path behind it, /.well-known/oauth-authorization-server (RFC 8414 section 3.1), and nowhere else.
// - Back-channel logout goes through the provider's own logout, so the token is what it sends to anybody. Where the receiver's
//   certificate is a test's own, NODE_EXTRA_CA_CERTS has to name its CA.
//
// For tests only, beside the issuer and not below it:
//     POST /control/rotate        {overlap_seconds, alg}      a fresh key signs from now on; the old one stays published that long
//     POST /control/resources     {URI: {scopes, …}, …}       more resources, as in the options
//     POST /control/clients       [client, …]                 more clients, or others by the same id
//     POST /control/end-session   {account}                   logs out everywhere: back-channel logout to each client
//     POST /control/logout-token  {account, client_id, claims, header}   a logout token, with changes; `null` removes a member
//     POST /control/mint          {claims, header}            signs what it is given, whatever that is
//     GET  /control/counts                                    how often each document was fetched, and tokens were asked for

import { createRequire } from "node:module";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { constants, generateKeyPairSync, randomBytes, randomUUID, sign as signText, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const OPTIONS = {
  // 0 takes a free one.
  port: 0,
  // The issuer's path, as "/tenants/one"; empty: none.
  path: "",
  // Which metadata there is: that of OpenID Connect Discovery, that of RFC 8414, or both.
  documents: ["openid-configuration", "oauth-authorization-server"],
  // Of access tokens, identity tokens and logout tokens: ES256, RS256, PS256 or EdDSA.
  alg: "ES256",
  // How long an access token lives.
  lifetime_seconds: 300,
  // Who may be a token's audience: {URI: {scopes: ["mcp"], lifetime_seconds: 60}}, the lifetime only where it differs.
  resources: {},
  // Client metadata as RFC 7591 and its extensions name it, and two members more: `token_claims` go into the access tokens that the
  // client gets for itself; `certificate`, a PEM file, is the one that `self_signed_tls_client_auth` wants to see.
  clients: [],
  // {name: {token_claims, id_claims, acr, amr, acr_values: {acr: amr}, auth_age_seconds}}: claims of the access token and of the
  // identity token; how the account logs in by itself; what it reaches when `acr_values` asks; how long ago it logged in, unless
  // `max_age` or `prompt=login` wants it fresh.
  accounts: {},
  // Whether the token endpoint wants a nonce in proofs (RFC 9449 section 8).
  dpop_nonce: false,
  // The second listener: PEM files {cert, key, client_ca}, and {port} unless a free one will do.
  tls: null,
};

const [folder, given] = process.argv.slice(2);
const require = createRequire(resolve(folder, "package.json"));

// Standard output is for one line, so what the provider has to say goes the other way.
console.info = console.error;
console.warn = console.error;

const { default: Provider, errors } = await import(pathToFileURL(require.resolve("oidc-provider")));

const options = { ...OPTIONS, ...JSON.parse(given ?? "{}") };
const unknown = Object.keys(options).filter((name) => !(name in OPTIONS));
if (unknown.length) throw new Error(`unknown options: ${unknown}`);

const server = createServer((request, response) => answer(request, response));
await listen(server, options.port);
const { port } = server.address();
const origin = `http://127.0.0.1:${port}`;
const issuer = `${origin}${options.path}`;

const secure = options.tls && createTlsServer(
  {
    cert: readFileSync(options.tls.cert),
    key: readFileSync(options.tls.key),
    ca: options.tls.client_ca && readFileSync(options.tls.client_ca),
    requestCert: true,
    // Who presents none, or one of his own making, is turned away by the token endpoint, which knows what the client registered.
    rejectUnauthorized: false,
  },
  (request, response) => answer(request, response),
);
if (secure) await listen(secure, options.tls.port ?? 0);
const tlsPort = secure ? secure.address().port : null;

/** How each algorithm signs, and which key it takes. */
const SIGNING = {
  ES256: { pair: ["ec", { namedCurve: "P-256" }], hash: "sha256", how: { dsaEncoding: "ieee-p1363" } },
  RS256: { pair: ["rsa", { modulusLength: 2048 }], hash: "sha256", how: {} },
  PS256: { pair: ["rsa", { modulusLength: 2048 }], hash: "sha256", how: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } },
  EdDSA: { pair: ["ed25519", {}], hash: null, how: {} },
};

/** What the provider stores: sessions, grants, refresh tokens. It outlives a provider, since a rotation makes another one. */
const kept = new Map();

/** One kind of what is stored, as the provider asks for it. */
class Kept {
  constructor(kind) {
    this.kind = kind;
  }

  key(id) {
    return `${this.kind}:${id}`;
  }

  all() {
    return [...kept].filter(([key]) => key.startsWith(`${this.kind}:`)).map(([, { payload }]) => payload);
  }

  async upsert(id, payload, seconds) {
    kept.set(this.key(id), { payload, until: seconds ? now() + seconds : Infinity });
  }

  async find(id) {
    const found = kept.get(this.key(id));
    return found && found.until > now() ? found.payload : undefined;
  }

  async findByUid(uid) {
    return this.all().find((payload) => payload.uid === uid);
  }

  async consume(id) {
    kept.get(this.key(id)).payload.consumed = now();
  }

  async destroy(id) {
    kept.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of kept) if (payload.grantId === grantId) kept.delete(key);
  }
}

const nonceSecret = randomBytes(32);
const counts = { "openid-configuration": 0, "oauth-authorization-server": 0, jwks: 0, token: 0 };
let deliveries = [];
let keys = [freshKey(options.alg)];
let provider = build();

process.stdin.resume();
process.stdin.on("close", () => process.exit(0));
process.stdout.write(`${JSON.stringify({ issuer, port, tls_port: tlsPort })}\n`);

/** The provider with the keys, clients and resources of this moment. The first key signs. */
function build() {
  const tls = { enabled: secure !== null, certificateBoundAccessTokens: true, selfSignedTlsClientAuth: true, tlsClientAuth: true };
  const built = new Provider(issuer, {
    adapter: Kept,
    jwks: { keys: structuredClone(keys) },
    clients: options.clients.map(metadata),
    clientDefaults: { id_token_signed_response_alg: keys[0].alg },
    clientAuthMethods: [
      "client_secret_basic", "client_secret_post", "private_key_jwt", "none",
      ...(secure ? ["tls_client_auth", "self_signed_tls_client_auth"] : []),
    ],
    claims: { openid: ["sub", ...new Set(Object.values(options.accounts).flatMap((account) => Object.keys(account.id_claims ?? {})))] },
    acrValues: [...new Set(Object.values(options.accounts).flatMap((account) => Object.keys(account.acr_values ?? {})))],
    enabledJWA: { dPoPSigningAlgValues: ["ES256", "Ed25519", "EdDSA", "RS256", "PS256"] },
    responseTypes: ["code"],
    pkce: { required: () => true },
    discovery: secure ? { mtls_endpoint_aliases: { token_endpoint: `https://127.0.0.1:${tlsPort}${options.path}/token` } } : {},
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: (context, form) => { context.body = form; } },
      dPoP: { enabled: true, nonceSecret, requireNonce: () => options.dpop_nonce },
      mTLS: secure ? { ...tls, getCertificate, certificateAuthorized, certificateSubjectMatches } : { enabled: false },
      resourceIndicators: {
        enabled: true,
        // A resource that was granted stays the audience, also where the token request does not name it again.
        useGrantedResource: () => true,
        getResourceServerInfo: (_context, resource) => resourceServer(resource),
      },
    },
    extraTokenClaims,
    findAccount: (_context, name) => findAccount(name),
    interactions: { url: (_context, interaction) => `${options.path}/interaction/${interaction.uid}` },
    issueRefreshToken: (_context, client) => client.grantTypeAllowed("refresh_token"),
    rotateRefreshToken: true,
    ttl: {
      AccessToken: lifetime, ClientCredentials: lifetime, IdToken: 3600, Interaction: 600,
      Session: 86_400, Grant: 86_400, RefreshToken: 86_400,
    },
    cookies: { keys: [] },
    // The provider refuses to call this machine, which is where all of the tests' clients are.
    fetch: (url, { dispatcher: _, ...request }) => {
      if (!["127.0.0.1", "localhost"].includes(new URL(url).hostname)) throw new Error(`${url} is not on this machine`);
      return fetch(url, request);
    },
  });
  built.on("backchannel.success", (_context, client, account, sid) => deliveries.push({ client_id: client.clientId, account, sid }));
  built.on("backchannel.error", (_context, error, client, account, sid) => {
    deliveries.push({ client_id: client.clientId, account, sid, error: String(error.cause ?? error) });
  });
  built.on("server_error", (_context, error) => console.error(error));
  return { built, handle: built.callback() };
}

/** One request at either listener. */
async function answer(request, response) {
  const path = request.url.split("?")[0];
  try {
    if (path.startsWith("/control/")) return await control(path.slice("/control/".length), request, response);
    const inner = innerPath(request.url);
    if (inner === null) return send(response, 404, { error: "not_found" });
    count(inner.split("?")[0]);
    if (/^\/interaction\/[\w-]+$/.test(inner)) return await logIn(request, response);
    // The provider finds its own path in what is missing from `url`, and addresses in the host that was asked for.
    Object.assign(request, { originalUrl: request.url, url: inner });
    if (!request.socket.encrypted) request.headers.host = `127.0.0.1:${port}`;
    if (inner.startsWith("/.well-known/oauth-authorization-server")) request.originalUrl = `${options.path}${inner}`;
    provider.handle(request, response);
  } catch (error) {
    console.error(error);
    send(response, 500, { error: String(error) });
  }
}

/** The path as the provider knows it, without that of the issuer; none if nothing stands there. */
function innerPath(url) {
  const [, document] = /\/\.well-known\/([\w-]+)/.exec(url) ?? [];
  if (document && !options.documents.includes(document)) return null;
  const inserted = "/.well-known/oauth-authorization-server";
  if (url === `${inserted}${options.path}`) return inserted;
  if (!url.startsWith(`${options.path}/`)) return null;
  const inner = url.slice(options.path.length);
  return inner.startsWith(inserted) ? null : inner;
}

function count(inner) {
  const name = inner.split("/").at(-1);
  if (name in counts) counts[name] += 1;
}

/** What a person would do in a browser: logs in, then consents. */
async function logIn(request, response) {
  const { prompt, params, grantId, session } = await provider.built.interactionDetails(request, response);
  const finish = (result) => provider.built.interactionFinished(request, response, result);
  if (prompt.name === "login") {
    const account = options.accounts[params.login_hint];
    if (!account) return finish({ error: "access_denied", error_description: `no account ${params.login_hint}` });
    return finish({ login: { accountId: params.login_hint, ...loginOf(account, params) } });
  }
  const grant = grantId
    ? await provider.built.Grant.find(grantId)
    : new provider.built.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(" "));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(" "));
  }
  return finish({ consent: { grantId: await grant.save() } });
}

/** How the account logs in. `acr_values` is a wish: who cannot reach it logs in as he can (OpenID Connect Core section 3.1.2.1). */
function loginOf(account, params) {
  const wishes = (params.acr_values ?? "").split(" ");
  const reached = wishes.find((acr) => account.acr_values?.[acr]);
  const age = account.auth_age_seconds ?? 0;
  const fresh = params.prompt?.split(" ").includes("login") || age > Number(params.max_age ?? Infinity);
  return {
    acr: reached ?? account.acr,
    amr: reached ? account.acr_values[reached] : account.amr,
    ts: now() - (fresh ? 0 : age),
  };
}

/** What an access token says beyond RFC 9068, which names `acr`, `amr` and `auth_time` (section 2.2.1); `sid` is for logout. */
async function extraTokenClaims(context, token) {
  if (token.kind === "ClientCredentials") return client(token.clientId)?.token_claims;
  const { AuthorizationCode: code, RefreshToken: refresh } = context.oidc.entities;
  const source = code ?? refresh;
  const session = token.sessionUid && await provider.built.Session.findByUid(token.sessionUid);
  return present({
    ...options.accounts[token.accountId]?.token_claims,
    acr: source?.acr,
    amr: source?.amr,
    auth_time: source?.authTime,
    sid: token.sid ?? session?.sidFor(token.clientId),
  });
}

function findAccount(name) {
  const account = options.accounts[name];
  return account && { accountId: name, claims: () => ({ sub: name, ...account.id_claims }) };
}

function resourceServer(resource) {
  const known = Object.hasOwn(options.resources, resource) && options.resources[resource];
  if (!known) throw new errors.InvalidTarget();
  return {
    scope: known.scopes.join(" "),
    audience: resource,
    accessTokenTTL: known.lifetime_seconds ?? options.lifetime_seconds,
    accessTokenFormat: "jwt",
    jwt: { sign: { alg: keys[0].alg, kid: keys[0].kid } },
  };
}

function lifetime(_context, token) {
  return token.resourceServer?.accessTokenTTL ?? options.lifetime_seconds;
}

function client(id) {
  return options.clients.find((one) => one.client_id === id);
}

/** A client's metadata as the provider takes it. */
function metadata({ token_claims: _, certificate, ...rest }) {
  if (!certificate) return rest;
  const { raw, publicKey } = new X509Certificate(readFileSync(certificate));
  return { ...rest, jwks: { keys: [{ ...publicKey.export({ format: "jwk" }), x5c: [raw.toString("base64")] }] } };
}

function getCertificate(context) {
  return context.socket.getPeerX509Certificate?.();
}

/** Whether it was issued by `client_ca`. */
function certificateAuthorized(context) {
  return context.socket.authorized === true;
}

function certificateSubjectMatches(context, property, expected) {
  const { subject, subjectAltName } = getCertificate(context);
  const kinds = {
    tls_client_auth_san_dns: "DNS",
    tls_client_auth_san_uri: "URI",
    tls_client_auth_san_ip: "IP Address",
    tls_client_auth_san_email: "email",
  };
  // RFC 4514 writes the most specific part first, the certificate has it last.
  if (property === "tls_client_auth_subject_dn") return subject.split("\n").reverse().join(",") === expected;
  return (subjectAltName ?? "").split(", ").includes(`${kinds[property]}:${expected}`);
}

const CONTROLS = {
  "POST rotate": ({ overlap_seconds: seconds = 60, alg = keys[0].alg }) => {
    const [old] = keys;
    keys = [freshKey(alg), ...keys];
    provider = build();
    const retire = () => {
      keys = keys.filter((key) => key !== old);
      provider = build();
    };
    if (seconds > 0) setTimeout(retire, seconds * 1000).unref();
    else retire();
    return { kid: keys[0].kid, old_kid: old.kid };
  },
  "POST resources": (more) => {
    Object.assign(options.resources, more);
    return { resources: Object.keys(options.resources) };
  },
  "POST clients": (more) => {
    const others = options.clients.filter((one) => !more.some((fresh) => fresh.client_id === one.client_id));
    options.clients = [...others, ...more];
    provider = build();
    return { clients: options.clients.map((one) => one.client_id) };
  },
  "POST end-session": async ({ account }) => {
    deliveries = [];
    const sessions = sessionsOf(account);
    for (const session of sessions) await endSession(session);
    const failed = deliveries.filter((one) => one.error);
    return { ended: sessions.length, delivered: deliveries.filter((one) => !one.error), failed };
  },
  "POST logout-token": ({ account, client_id: id = options.clients[0].client_id, claims, header }) => {
    const sid = sessionsOf(account).findLast((session) => session.authorizations?.[id])?.authorizations[id].sid;
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    const good = { iss: issuer, sub: account, aud: id, iat: now(), exp: now() + 120, jti: randomUUID(), events, sid };
    return { logout_token: sign(changed(good, claims), { typ: "logout+jwt", ...header }), sid: sid ?? null };
  },
  "POST mint": ({ claims, header }) => ({ token: sign(claims, { typ: "at+jwt", ...header }) }),
  "GET counts": () => counts,
};

async function control(name, request, response) {
  const body = [];
  for await (const chunk of request) body.push(chunk);
  const asked = `${request.method} ${name}`;
  if (!Object.hasOwn(CONTROLS, asked)) return send(response, 404, { error: `no control ${asked}` });
  return send(response, 200, await CONTROLS[asked](JSON.parse(Buffer.concat(body).toString() || "{}")));
}

function send(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body)}\n`);
}

function sessionsOf(account) {
  return new Kept("Session").all().filter((session) => session.accountId === account);
}

/** Logs out as the session's browser would, with its cookie: the page has a form, the form is sent. */
async function endSession(session) {
  const headers = { cookie: `_session=${session.jti}` };
  const page = await fetch(`${issuer}/session/end`, { headers });
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(await page.text())[1];
  const body = new URLSearchParams({ xsrf, logout: "yes" });
  const confirmed = await fetch(`${issuer}/session/end/confirm`, { method: "POST", headers, body, redirect: "manual" });
  if (confirmed.status !== 303) throw new Error(`logout was answered with ${confirmed.status}`);
}

/** Signs with the key that signs now, also where the header says otherwise. */
function sign(claims, header) {
  const [{ alg, kid, ...jwk }] = keys;
  const parts = [changed({ alg, kid }, header), claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  const key = { key: jwk, format: "jwk", ...SIGNING[alg].how };
  return [...parts, signText(SIGNING[alg].hash, Buffer.from(parts.join(".")), key).toString("base64url")].join(".");
}

/** A copy with changes; `null` removes a member. */
function changed(object, changes = {}) {
  return present(Object.fromEntries(Object.entries({ ...object, ...changes }).filter(([, value]) => value !== null)));
}

function present(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

function freshKey(alg) {
  if (!Object.hasOwn(SIGNING, alg)) throw new Error(`no algorithm ${alg}`);
  const { privateKey } = generateKeyPairSync(...SIGNING[alg].pair);
  return { ...privateKey.export({ format: "jwk" }), alg, use: "sig", kid: randomUUID() };
}

function listen(one, at) {
  return new Promise((done, failed) => one.once("error", failed).listen(at, "127.0.0.1", done));
}

function now() {
  return Math.floor(Date.now() / 1000);
}
