// A client of the provider in `oidc.mjs`, made of `openid-client` and `oauth4webapi`, libraries that others wrote.
//
//     node login.mjs <folder with node_modules> '<options as JSON>'
//
// It gets a token and prints one line: {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token",
// "dpop_private_jwk"}, as far as there are such. With `call` it then makes one POST to a resource server, and the line also has
// {"status", "headers", "body", "attempts"} of the answer. `OPTIONS` below lists the options with their defaults. Where it fails
// the line is {"failed", "cause", "error", "error_description"}, the latter two as the provider said them.
//
// What it keeps strictly, as the libraries do or because it is told to here:
// - Metadata is fetched and its issuer compared; state, `iss`, the nonce and the identity token's claims are checked.
// - The code grant uses PKCE with S256. Redirects are followed one by one with a cookie jar, to the redirect URI and not beyond.
// - A DPoP proof is made for each request, with `ath` at the resource server. Whoever answers `use_dpop_nonce` is asked once more,
//   with the nonce of that answer (RFC 9449 sections 8 and 9).
// - With mutual TLS the certificate is shown to everybody who asks for one, at the provider and at the resource server.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const OPTIONS = {
  issuer: null,
  // "oidc" reads {issuer}/.well-known/openid-configuration, "oauth2" the document of RFC 8414.
  metadata: "oidc",
  // "client_credentials", "code" or "refresh", which takes `refresh_token`. With `access_token` there is none, and no issuer is asked.
  grant: "code",
  client_id: "client",
  // With a secret "post" or "basic", else "none"; "tls" if the certificate is what authenticates.
  auth: null,
  client_secret: null,
  redirect_uri: "http://127.0.0.1/callback",
  resource: null,
  scope: null,
  // Members of the authorization request, among them `login_hint`, which names the account.
  login_hint: null,
  acr_values: null,
  max_age: null,
  prompt: null,
  // "none", "dpop" or "mtls".
  binding: "none",
  dpop_alg: "ES256",
  // A key that is there already; without one a fresh one is made.
  dpop_private_jwk: null,
  // PEM files: the certificate to show, its key, and who is trusted.
  cert: null,
  key: null,
  ca: null,
  refresh_token: null,
  access_token: null,
  // {url, session, message, headers}: a message in JSON-RPC, the legacy session it belongs to, and more headers.
  call: null,
};

const [folder, given] = process.argv.slice(2);
const require = createRequire(resolve(folder, "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const client = await load("openid-client");
const oauth = await load("oauth4webapi");

const options = { ...OPTIONS, ...JSON.parse(given) };
const tls = Object.fromEntries(
  ["cert", "key", "ca"].filter((name) => options[name]).map((name) => [name, readFileSync(options[name])]),
);
const TIMEOUT_MS = 30_000;
const REDIRECTS_MAX = 10;
const RESPONSES_WITHOUT_BODY = [204, 205, 304];

async function main() {
  try {
    const unknown = Object.keys(options).filter((name) => !(name in OPTIONS));
    if (unknown.length) throw new Error(`unknown options: ${unknown}`);
    const pair = options.binding === "dpop" ? await dpopPair() : null;
    const tokens = options.access_token ? { access_token: options.access_token } : await obtain(pair);
    const report = { ...tokens, dpop_private_jwk: pair ? await exportPrivate(pair) : undefined };
    return options.call ? { ...report, ...(await call(tokens.access_token, pair)) } : report;
  } catch (error) {
    const { error: code, error_description: description } = error;
    return { failed: String(error), cause: cause(error), error: code, error_description: description };
  }
}

/** Tokens from the provider. */
async function obtain(pair) {
  const config = await discover();
  const dpop = pair ? { DPoP: client.getDPoPHandle(config, pair) } : undefined;
  const asked = present({ resource: options.resource, scope: options.scope });
  const grants = {
    client_credentials: () => client.clientCredentialsGrant(config, asked, dpop),
    refresh: () => client.refreshTokenGrant(config, options.refresh_token, present({ resource: options.resource }), dpop),
    code: () => authorize(config, asked, dpop),
  };
  return { ...(await grants[options.grant]()) };
}

async function discover() {
  const { client_id: id, client_secret: secret } = options;
  const methods = {
    post: () => client.ClientSecretPost(secret),
    basic: () => client.ClientSecretBasic(secret),
    none: () => client.None(),
    tls: () => client.TlsClientAuth(),
  };
  const metadata = { use_mtls_endpoint_aliases: options.binding === "mtls" || options.auth === "tls" };
  const auth = methods[options.auth ?? (secret ? "post" : "none")]();
  return client.discovery(new URL(options.issuer), id, metadata, auth, {
    algorithm: options.metadata,
    // Loopback is plain, as in every test; https is still https.
    execute: [client.allowInsecureRequests, signedAsPublished],
    [client.customFetch]: exchange,
  });
}

/** Takes the algorithm of identity tokens from the metadata: without a word the library expects RS256, as OpenID Connect has it. */
function signedAsPublished(config) {
  const [alg] = config.serverMetadata().id_token_signing_alg_values_supported ?? [];
  if (alg) config.clientMetadata().id_token_signed_response_alg = alg;
}

async function authorize(config, asked, dpop) {
  const verifier = client.randomPKCECodeVerifier();
  const [state, nonce] = [client.randomState(), client.randomNonce()];
  const openid = (options.scope ?? "").split(" ").includes("openid");
  const start = client.buildAuthorizationUrl(config, {
    ...asked,
    ...present({ login_hint: options.login_hint, acr_values: options.acr_values, prompt: options.prompt }),
    ...(options.max_age === null ? {} : { max_age: String(options.max_age) }),
    ...(openid ? { nonce } : {}),
    redirect_uri: options.redirect_uri,
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
  const checks = {
    pkceCodeVerifier: verifier,
    expectedState: state,
    ...(openid ? { expectedNonce: nonce, idTokenExpected: true } : {}),
    ...(openid && options.max_age !== null ? { maxAge: options.max_age } : {}),
  };
  const resource = present({ resource: options.resource });
  return client.authorizationCodeGrant(config, await browse(start), checks, resource, dpop);
}

/** Follows redirects as a browser does, until one leads to the redirect URI. That is not fetched: nobody listens there. */
async function browse(start) {
  const jar = new Map();
  let url = start;
  for (let step = 0; step < REDIRECTS_MAX; step += 1) {
    const fitting = [...jar.values()].filter((cookie) => underPath(url.pathname, cookie.path));
    const headers = fitting.length ? { cookie: fitting.map(({ name, value }) => `${name}=${value}`).join("; ") } : {};
    const response = await exchange(url.href, { method: "GET", headers });
    for (const line of response.headers.getSetCookie()) keepCookie(jar, line);
    const location = response.headers.get("location");
    if (!location) throw new Error(`${url.pathname} answered ${response.status}: ${await response.text()}`);
    url = new URL(location, url);
    if (url.href.startsWith(`${options.redirect_uri}?`)) return url;
  }
  throw new Error(`more than ${REDIRECTS_MAX} redirects`);
}

function keepCookie(jar, line) {
  const [pair, ...attributes] = line.split(/; */);
  const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
  const attribute = (wanted) => attributes.find((one) => one.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
  const path = attribute("path") ?? "/";
  const expires = attribute("expires");
  if (expires && Date.parse(expires) < Date.now()) jar.delete(`${name} ${path}`);
  else jar.set(`${name} ${path}`, { name, value, path });
}

/** RFC 6265 section 5.1.4. */
function underPath(path, of) {
  return path === of || (path.startsWith(of) && (of.endsWith("/") || path[of.length] === "/"));
}

/** One message to a resource server, with the token as its binding wants it. */
async function call(token, pair) {
  const { url, session, message, headers: more = {} } = options.call;
  const headers = new Headers({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(session ? { "mcp-session-id": session } : {}),
    ...more,
  });
  // One handle for both attempts: it keeps the nonce that the first answer brought.
  const dpop = pair ? { DPoP: oauth.DPoP({}, pair) } : {};
  for (let attempts = 1; ; attempts += 1) {
    const sending = oauth.protectedResourceRequest(token, "POST", new URL(url), new Headers(headers), JSON.stringify(message), {
      ...dpop,
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: exchange,
    });
    try {
      return await answerOf(await sending, attempts);
    } catch (error) {
      // A challenge is an answer, too, and this is how the library reports it.
      if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
      if (attempts === 1 && oauth.isDPoPNonceError(error)) continue;
      return answerOf(error.response, attempts);
    }
  }
}

async function answerOf(response, attempts) {
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text(), attempts };
}

/** `fetch`, but with a certificate to show, with trust of our own, and without following redirects. */
function exchange(url, { method, headers, body }) {
  const target = new URL(url);
  const secure = target.protocol === "https:";
  return new Promise((done, failed) => {
    const send = secure ? secureRequest : plainRequest;
    const sent = send(target, { method, headers: { ...headers }, timeout: TIMEOUT_MS, ...(secure ? tls : {}) }, async (answer) => {
      try {
        const chunks = [];
        for await (const chunk of answer) chunks.push(chunk);
        const content = RESPONSES_WITHOUT_BODY.includes(answer.statusCode) ? null : Buffer.concat(chunks);
        done(new Response(content, { status: answer.statusCode, headers: headersOf(answer.rawHeaders) }));
      } catch (error) {
        failed(error);
      }
    });
    sent.on("timeout", () => sent.destroy(new Error(`${url} did not answer in ${TIMEOUT_MS} ms`)));
    sent.on("error", failed);
    sent.end(body === undefined || body === null ? undefined : String(body));
  });
}

/** Each line as it came: several cookies are several lines. */
function headersOf(raw) {
  const headers = new Headers();
  for (let at = 0; at < raw.length; at += 2) headers.append(raw[at], raw[at + 1]);
  return headers;
}

async function dpopPair() {
  const { dpop_alg: alg, dpop_private_jwk: jwk } = options;
  if (!jwk) return oauth.generateKeyPair(alg, { extractable: true });
  const algorithms = {
    ES256: { name: "ECDSA", namedCurve: "P-256" },
    RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    PS256: { name: "RSA-PSS", hash: "SHA-256" },
    EdDSA: { name: "Ed25519" },
    Ed25519: { name: "Ed25519" },
  };
  const secret = ["d", "p", "q", "dp", "dq", "qi", "key_ops", "ext"];
  const open = Object.fromEntries(Object.entries(jwk).filter(([name]) => !secret.includes(name)));
  const take = (one, use) => crypto.subtle.importKey("jwk", one, algorithms[alg], true, [use]);
  return { privateKey: await take({ ...jwk, key_ops: undefined }, "sign"), publicKey: await take(open, "verify") };
}

async function exportPrivate({ privateKey }) {
  const { key_ops: _, ext: __, ...jwk } = await crypto.subtle.exportKey("jwk", privateKey);
  return jwk;
}

function present(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null && value !== undefined));
}

function cause(error) {
  return error.cause === undefined ? undefined : String(error.cause?.message ?? JSON.stringify(error.cause));
}

process.stdout.write(`${JSON.stringify(await main())}\n`, () => process.exit(0));
