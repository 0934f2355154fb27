// A stand-in for Microsoft Entra ID: the parts of its v2.0 endpoints that a resource server and its tests meet, told strictly.
//
//     node entra.mjs <folder with node_modules> '<options as JSON>'
//
// The folder is not used, nothing but Node.js is needed. When it listens it prints one line, {"origin", "port", "tenants": [{"tid",
// "issuer"}]}, and it ends when its standard input closes. It listens on 127.0.0.1, with TLS where `tls` names a certificate;
// MSAL insists on that. `OPTIONS` below lists the options with their defaults. `msal_client.py` is the judge of this file: Microsoft's own
// library has to take what is said here as it takes what Entra says.
//
// What it keeps strictly:
// - The paths are Entra's and there are no others. In particular there is no metadata of RFC 8414, and what there is says
//   nothing of `code_challenge_methods_supported`. `common` and `organizations` have an issuer with a literal {tenantid}.
// - A `resource` that is not, character by character, what stands before the scope's last slash is AADSTS9010010.
// - A token's `aud` is the application's id, never its URI; `sub` differs from resource to resource; `oid` and `tid` say who it is.
//   App-only tokens have `roles` and `idtyp` and no `scp`; delegated ones have `scp`. `iat` lies five minutes back, as Entra writes it.
// - Whoever is in more than 200 groups gets a note where to read them, not the groups.
// - Errors have Entra's members, and codes and texts as far as these are published. Its numbers are what people search for.
// - Stricter than Entra, which ignores them: a parameter that the grant does not have is refused, as is one that stands twice.
// What it does not do: the authorization, device code and logout endpoints, v1.0 tokens, Microsoft Graph. The documents have `x5t` in
// the header of v1.0 tokens only; here it stands beside every `kid`, as a member that a verifier may meet and must not follow.
//
// For tests only, and on no real service:
//     POST /control/mint    {tid, claims, header}   signs the claims as they are with the tenant's key; a header member `null` is left out
//     GET  /control/counts                          how often metadata, keys and tokens were asked for

import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import {
  constants, createHash, createVerify, generateKeyPairSync, randomBytes, randomUUID, sign as signText, timingSafeEqual, X509Certificate,
} from "node:crypto";
import { readFileSync } from "node:fs";

const OPTIONS = {
  // 0 takes a free one.
  port: 0,
  // PEM files {cert, key}; without them it is plain HTTP.
  tls: null,
  // How long tokens live. Entra takes between 60 and 90 minutes, by chance.
  lifetime_seconds: 4500,
  // With continuous access evaluation: who says cp1 to a resource that wants `xms_cc`.
  lifetime_seconds_cae: 86_400,
  tenants: [],
};

const TENANT = { tid: null, domains: [], apps: [], users: [] };

const APP = {
  client_id: null,
  name: "app",
  // Of the service principal, the `oid` and `sub` of app-only tokens; without one it is made up.
  object_id: null,
  // Either makes it a confidential client; the certificate is a PEM file.
  secret: null,
  certificate: null,
  identifier_uris: [],
  // Delegated permissions that it has to give.
  scopes: [],
  // What it was consented to: [{resource: client_id, scopes: [], roles: []}].
  granted: [],
  // Of its tokens: "xms_cc", "idtyp".
  optional_claims: [],
  // Whether its tokens list groups.
  groups: false,
  // Whether a policy wants a second factor before somebody gets a token for it.
  mfa: false,
};

const USER = {
  username: null,
  password: null,
  object_id: null,
  name: "Somebody",
  groups: [],
  // "names" or "hasgroups": groups are not listed, however few there are, and this is how that is said.
  overage: null,
  // App roles by the client_id of the app that has them.
  roles: {},
  // What happens where a second factor is wanted: "required" (50076), "enroll" (50079), or null: it was there.
  mfa: null,
  // Authentication contexts that are satisfied, as "c1".
  acrs: [],
};

const GRAPH = "00000003-0000-0000-c000-000000000000";
const GROUPS_MAX = 200;
const BACKDATED_SECONDS = 300;
const OPENID_SCOPES = ["openid", "profile", "email", "offline_access"];
const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const COMMON_PARAMETERS = [
  "client_id", "client_secret", "client_assertion", "client_assertion_type", "grant_type", "scope", "resource", "claims", "client_info",
];

/** HTTP status, OAuth error and text of each error. */
const ERRORS = {
  900144: [400, "invalid_request", (name) => `The request body must contain the following parameter: '${name}'.`],
  900561: [400, "invalid_request", (method) => `The endpoint only accepts POST, OPTIONS requests. Received a ${method} request.`],
  9000411: [400, "invalid_request", (name) => `The request is not properly formatted. The parameter '${name}' is duplicated.`],
  90100: [400, "invalid_request", (name) => `'${name}' parameter is empty or not valid.`],
  90002: [400, "invalid_tenant", (tenant) => `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`],
  50059: [400, "invalid_request", () => "No tenant-identifying information found in either the request or implied by any provided credentials."],
  70003: [400, "unsupported_grant_type", (grant) => `The app requested an unsupported grant type '${grant}'.`],
  700016: [400, "unauthorized_client", (id, tenant) => `Application with identifier '${id}' was not found in the directory '${tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.`],
  7000215: [401, "invalid_client", (id) => `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${id}'.`],
  7000218: [401, "invalid_client", () => "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."],
  700025: [401, "invalid_client", () => "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."],
  700027: [401, "invalid_client", (id) => `The certificate with identifier used to sign the client assertion is not registered on application '${id}'.`],
  700023: [401, "invalid_client", () => "Client assertion audience claim does not match Realm issuer."],
  700024: [401, "invalid_client", () => "Client assertion is not within its valid time range."],
  70011: [400, "invalid_scope", (scope, why) => `The provided value for the input parameter 'scope' is not valid. The scope '${scope}' is not valid. ${why}`],
  28000: [400, "invalid_scope", (scope) => `Provided value for the input parameter scope is not valid because it contains more than one resource. Scope ${scope} is not valid.`],
  1002012: [400, "invalid_scope", (scope) => `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`],
  650053: [400, "invalid_client", (app, scope, resource) => `The application '${app}' asked for scope '${scope}' that doesn't exist on the resource '${resource}'. Contact the app vendor.`],
  500011: [400, "invalid_resource", (resource, tenant) => `The resource principal named ${resource} was not found in the tenant named ${tenant}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.`],
  9010010: [400, "invalid_target", () => "The resource parameter provided in the request doesn't match with the requested scopes."],
  90009: [400, "invalid_request", (id, name) => `Application '${id}'(${name}) is requesting a token for itself. This scenario is supported only if resource is specified using the GUID based App Identifier.`],
  65001: [400, "invalid_grant", (id, name) => `The user or administrator has not consented to use the application with ID '${id}' named '${name}'. Send an interactive authorization request for this user and resource.`, "consent_required"],
  50034: [400, "invalid_grant", (user, tenant) => `The user account ${user} does not exist in the ${tenant} directory. To sign into this application, the account must be added to the directory.`],
  50126: [400, "invalid_grant", () => "Error validating credentials due to invalid username or password."],
  50076: [400, "invalid_grant", (resource) => `Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '${resource}'.`, "basic_action"],
  50079: [400, "invalid_grant", (resource) => `Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '${resource}'.`, "basic_action"],
  50013: [400, "invalid_grant", (why) => `Assertion failed signature validation. [Reason - ${why}.]`],
  500131: [400, "invalid_grant", (got, wanted) => `Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was '${got}' and the expected audience is '${wanted}' or one of the Application Uris of this application.`],
  500133: [400, "invalid_grant", () => "Assertion is not within its valid time range. Ensure that the access token is not expired before using it for user assertion, or request a new token."],
  7000114: [400, "invalid_grant", (id) => `Application '${id}' is not allowed to make application on-behalf-of calls.`],
  70000: [400, "invalid_grant", () => "Provided grant is invalid or malformed."],
};

/** A refusal as Entra words it. `more` has members that only some errors have: `claims`, another `error`. */
class Refused extends Error {
  constructor(code, words = [], more = {}) {
    super(`AADSTS${code}`);
    Object.assign(this, { code, words, more });
  }
}

const options = filled(OPTIONS, JSON.parse(process.argv[3] ?? "{}"));
const tenants = options.tenants.map((given) => {
  const tenant = filled(TENANT, given);
  const apps = tenant.apps.map((app) => filled({ ...APP, object_id: randomUUID() }, app));
  const users = tenant.users.map((user) => filled({ ...USER, object_id: randomUUID() }, user));
  // The first one signs. Entra publishes several, too, since it changes them without a word.
  return { ...tenant, apps, users, keys: [freshKey(), freshKey()] };
});
const refreshTokens = new Map();
const counts = { metadata: 0, keys: 0, token: 0 };

const server = options.tls
  ? createTlsServer({ cert: readFileSync(options.tls.cert), key: readFileSync(options.tls.key) }, answer)
  : createServer(answer);
await new Promise((done, failed) => server.once("error", failed).listen(options.port, "127.0.0.1", done));
const { port } = server.address();
const origin = `${options.tls ? "https" : "http"}://127.0.0.1:${port}`;
const issuerOf = (tid) => `${origin}/${tid}/v2.0`;

process.stdin.resume();
process.stdin.on("close", () => process.exit(0));
process.stdout.write(`${JSON.stringify({ origin, port, tenants: tenants.map(({ tid }) => ({ tid, issuer: issuerOf(tid) })) })}\n`);

async function answer(request, response) {
  try {
    const body = await read(request);
    const { pathname } = new URL(request.url, origin);
    const reply = await route(request, decodeURIComponent(pathname), body);
    return reply ? send(response, 200, reply) : send(response, 404, { error: "not_found" });
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    return error instanceof Refused
      ? send(response, ERRORS[error.code][0], refusal(error, request.headers["client-request-id"]))
      : send(response, 500, { error: "server_error", error_description: String(error) });
  }
}

/** What is said to a request; nothing where Entra has no such path. */
function route(request, path, body) {
  const asked = `${request.method} ${path}`;
  if (asked === "GET /control/counts") return counts;
  if (asked === "POST /control/mint") return mint(JSON.parse(body));
  if (path.startsWith("/common/userrealm/")) return realm(path.slice("/common/userrealm/".length));
  const [, segment, rest] = /^\/([^/]+)\/(.+)$/.exec(path) ?? [];
  if (rest === "v2.0/.well-known/openid-configuration" && request.method === "GET") return metadata(segment);
  if (rest === "discovery/v2.0/keys" && request.method === "GET") return keySet(segment);
  if (rest === "oauth2/v2.0/token") return token(request, segment, body);
  return null;
}

function metadata(segment) {
  counts.metadata += 1;
  const at = isForMany(segment) ? segment : tenantNamed(segment).tid;
  const base = `${origin}/${at}`;
  return {
    token_endpoint: `${base}/oauth2/v2.0/token`,
    token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt", "client_secret_basic"],
    jwks_uri: `${base}/discovery/v2.0/keys`,
    response_modes_supported: ["query", "fragment", "form_post"],
    subject_types_supported: ["pairwise"],
    id_token_signing_alg_values_supported: ["RS256"],
    response_types_supported: ["code", "id_token", "code id_token", "id_token token"],
    scopes_supported: ["openid", "profile", "email", "offline_access"],
    issuer: issuerOf(isForMany(segment) ? "{tenantid}" : at),
    request_uri_parameter_supported: false,
    userinfo_endpoint: "https://graph.microsoft.com/oidc/userinfo",
    authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
    device_authorization_endpoint: `${base}/oauth2/v2.0/devicecode`,
    http_logout_supported: true,
    frontchannel_logout_supported: true,
    end_session_endpoint: `${base}/oauth2/v2.0/logout`,
    claims_supported: [
      "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host", "aud", "exp", "iat",
      "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email",
    ],
    kerberos_endpoint: `${base}/kerberos`,
    tenant_region_scope: isForMany(segment) ? null : "EU",
    cloud_instance_name: "microsoftonline.com",
    cloud_graph_host_name: "graph.windows.net",
    msgraph_host: "graph.microsoft.com",
    rbac_url: "https://pas.windows.net",
  };
}

function keySet(segment) {
  counts.keys += 1;
  const many = isForMany(segment);
  const published = ({ jwk }, issuer) => ({ kty: "RSA", use: "sig", ...jwk, cloud_instance_name: "microsoftonline.com", issuer });
  const of = ({ keys, tid }) => keys.map((key) => published(key, issuerOf(many ? "{tenantid}" : tid)));
  return { keys: many ? tenants.flatMap(of) : of(tenantNamed(segment)) };
}

function realm(username) {
  const domain = username.split("@")[1];
  const known = tenants.some(({ domains }) => domains.includes(domain));
  const about = { domain_name: domain, cloud_instance_name: "microsoftonline.com", cloud_audience_urn: "urn:federation:MicrosoftOnline" };
  return { ver: "1.0", account_type: known ? "Managed" : "Unknown", ...(known ? about : {}) };
}

const GRANTS = {
  client_credentials: { parameters: [], run: appOnly },
  password: { parameters: ["username", "password"], run: withPassword },
  refresh_token: { parameters: ["refresh_token"], run: withRefreshToken },
  "urn:ietf:params:oauth:grant-type:jwt-bearer": { parameters: ["assertion", "requested_token_use"], run: onBehalfOf },
};

function token(request, segment, body) {
  counts.token += 1;
  if (request.method !== "POST") throw new Refused(900561, [request.method]);
  const form = (request.headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded");
  const params = parameters(new URLSearchParams(form ? body : ""));
  need(params, "grant_type");
  const grant = Object.hasOwn(GRANTS, params.grant_type) && GRANTS[params.grant_type];
  if (!grant) throw new Refused(70003, [params.grant_type]);
  const [id, secret] = basic(request.headers.authorization);
  const asked = { ...(id ? { client_id: id, client_secret: secret } : {}), ...params };
  const unknown = Object.keys(asked).find((name) => !COMMON_PARAMETERS.includes(name) && !grant.parameters.includes(name));
  if (unknown) throw new Refused(90100, [unknown]);
  for (const name of ["client_id", ...grant.parameters, "scope"]) need(asked, name);
  const tenant = tenantOf(segment, asked);
  const app = tenant.apps.find((one) => one.client_id === asked.client_id);
  if (!app) throw new Refused(700016, [asked.client_id, tenant.tid]);
  const authenticated = authenticate(tenant, app, asked);
  const want = { ...wanted(tenant, app, asked), ...claimsAsked(asked.claims) };
  return grant.run({ tenant, app, authenticated, want, params: asked });
}

function parameters(form) {
  const params = {};
  for (const [name, value] of form) {
    if (Object.hasOwn(params, name)) throw new Refused(9000411, [name]);
    params[name] = value;
  }
  return params;
}

function need(params, name) {
  if (!params[name]) throw new Refused(900144, [name]);
}

/** Client credentials from the header (RFC 6749 section 2.3.1). */
function basic(header) {
  const [scheme, value] = (header ?? "").split(" ");
  if (scheme.toLowerCase() !== "basic") return [];
  const plain = Buffer.from(value, "base64").toString();
  const decode = (text) => decodeURIComponent(text.replaceAll("+", " "));
  return [decode(plain.slice(0, plain.indexOf(":"))), decode(plain.slice(plain.indexOf(":") + 1))];
}

function isForMany(segment) {
  return ["common", "organizations"].includes(segment);
}

function tenantNamed(segment) {
  const found = tenants.find(({ tid, domains }) => tid === segment || domains.includes(segment));
  if (!found) throw new Refused(90002, [segment]);
  return found;
}

/** Where the path names no tenant, the user does; an application by itself cannot. */
function tenantOf(segment, params) {
  if (!isForMany(segment)) return tenantNamed(segment);
  const domain = (params.username ?? "").split("@")[1];
  const found = tenants.find(({ domains }) => domains.includes(domain));
  if (!found) throw new Refused(50059);
  return found;
}

/** How the application has shown who it is, as `azpacr` has it: "0" not at all, "1" by a secret, "2" by a certificate. */
function authenticate(tenant, app, params) {
  const { client_secret: secret, client_assertion: assertion } = params;
  if (!app.secret && !app.certificate) {
    if (secret || assertion) throw new Refused(700025);
    // Without a secret nobody can be believed to be the application, only to have a user.
    if (params.grant_type !== "password" && params.grant_type !== "refresh_token") throw new Refused(7000218);
    return "0";
  }
  if (assertion) {
    checkAssertion(tenant, app, params);
    return "2";
  }
  if (!secret) throw new Refused(7000218);
  if (!app.secret || !same(secret, app.secret)) throw new Refused(7000215, [app.client_id]);
  return "1";
}

/** RFC 7523 section 3, as far as Entra is known to check it. */
function checkAssertion(tenant, app, { client_assertion: assertion, client_assertion_type: type }) {
  if (type !== ASSERTION_TYPE) throw new Refused(90100, ["client_assertion_type"]);
  const jwt = taken(assertion);
  const key = app.certificate && new X509Certificate(readFileSync(app.certificate)).publicKey;
  if (!jwt || !key || !verified(jwt, key)) throw new Refused(700027, [app.client_id]);
  const { aud, iss, sub, exp, nbf } = jwt.claims;
  const audiences = [`${origin}/${tenant.tid}/oauth2/v2.0/token`, issuerOf(tenant.tid)];
  if (!audiences.includes(aud) || iss !== app.client_id || sub !== app.client_id) throw new Refused(700023);
  if (!(exp > now()) || nbf > now() + BACKDATED_SECONDS) throw new Refused(700024);
}

/** The resource and the permissions that `scope` names: all before the last slash is the resource. */
function wanted(tenant, app, { scope, resource: indicated, grant_type: grant }) {
  const bad = (why) => new Refused(70011, [scope, why]);
  if (!/^[\x21\x23-\x5b\x5d-\x7e ]+$/.test(scope)) throw bad("The scope contains characters that are not allowed.");
  const names = [...new Set(scope.split(" ").filter(Boolean))];
  const openid = names.filter((name) => OPENID_SCOPES.includes(name));
  const pairs = names.filter((name) => !OPENID_SCOPES.includes(name)).map((name) => {
    const at = name.lastIndexOf("/");
    if (at === -1) throw new Refused(650053, [app.name, name, GRAPH]);
    return { resource: name.slice(0, at), permission: name.slice(at + 1) };
  });
  if (!pairs.length || pairs.some(({ resource, permission }) => !resource || !permission)) {
    throw bad("The scope format is invalid. Scope must be in a valid URI form <https://example/scope> or a valid Guid <guid/scope>.");
  }
  const [{ resource }] = pairs;
  if (pairs.some((pair) => pair.resource !== resource)) throw new Refused(28000, [scope]);
  const permissions = pairs.map(({ permission }) => permission);
  const all = permissions.includes(".default");
  if (all && permissions.length > 1) throw bad(".default scope can't be combined with resource-specific scopes.");
  if (grant === "client_credentials" && (!all || openid.length)) throw new Refused(1002012, [scope]);
  const target = tenant.apps.find((one) => one.client_id === resource || one.identifier_uris.includes(resource));
  if (indicated !== undefined && (indicated !== resource || !target)) throw new Refused(9010010);
  if (!target) throw new Refused(500011, [resource, tenant.tid]);
  if (target === app && resource !== app.client_id) throw new Refused(90009, [app.client_id, app.name]);
  const missing = permissions.find((permission) => !all && !target.scopes.includes(permission));
  if (missing) throw new Refused(650053, [app.name, missing, target.client_id]);
  return { resource, target, permissions: all ? null : permissions, openid };
}

/** What the `claims` parameter wants in the access token: authentication contexts, and what the client can cope with. */
function claimsAsked(text) {
  if (text === undefined) return { contexts: [], capabilities: [], claims: text };
  const bad = new Refused(90100, ["claims"]);
  let asked;
  try {
    asked = JSON.parse(text).access_token ?? {};
  } catch {
    throw bad;
  }
  if (Object.keys(asked).some((name) => !["acrs", "xms_cc", "nbf", "capolids"].includes(name))) throw bad;
  const values = (one) => one?.values ?? (one?.value === undefined ? [] : [one.value]);
  const contexts = values(asked.acrs).map((value) => ({ value, essential: asked.acrs.essential === true }));
  return { contexts, capabilities: values(asked.xms_cc), claims: text };
}

function appOnly({ tenant, app, authenticated, want }) {
  const { roles = [] } = granted(app, want.target);
  const claims = {
    azp: app.client_id,
    azpacr: authenticated,
    idtyp: "app",
    oid: app.object_id,
    ...(roles.length ? { roles } : {}),
    sub: app.object_id,
  };
  return tokenResponse(tenant, want, claims);
}

function withPassword(asked) {
  const { tenant, params } = asked;
  const user = tenant.users.find((one) => one.username.toLowerCase() === params.username.toLowerCase());
  if (!user) throw new Refused(50034, [params.username, tenant.tid]);
  if (!same(params.password, user.password)) throw new Refused(50126);
  return delegated({ ...asked, user });
}

function withRefreshToken(asked) {
  const known = refreshTokens.get(asked.params.refresh_token);
  if (known?.app !== asked.app || known.tenant !== asked.tenant) throw new Refused(70000);
  return delegated({ ...asked, user: known.user });
}

function onBehalfOf(asked) {
  const { tenant, app, params } = asked;
  if (params.requested_token_use !== "on_behalf_of") throw new Refused(90100, ["requested_token_use"]);
  const jwt = taken(params.assertion);
  const key = jwt && tenant.keys.find(({ jwk }) => jwk.kid === jwt.header.kid);
  if (!key) throw new Refused(50013, ["The key was not found"]);
  if (jwt.header.alg !== "RS256" || !verified(jwt, key.publicKey)) {
    throw new Refused(50013, ["The provided signature value did not match the expected signature value"]);
  }
  const { iss, aud, exp, nbf, oid, idtyp } = jwt.claims;
  if (iss !== issuerOf(tenant.tid)) throw new Refused(50013, ["Token issuer doesn't match the tenant"]);
  if (aud !== app.client_id) throw new Refused(500131, [aud, app.client_id]);
  if (!(exp > now()) || nbf > now()) throw new Refused(500133);
  const user = tenant.users.find((one) => one.object_id === oid);
  if (idtyp === "app" || !user) throw new Refused(7000114, [app.client_id]);
  return delegated({ ...asked, user, error: "interaction_required" });
}

/** A token for a user. `error` says how the grant names what only the user can mend. */
function delegated({ tenant, app, authenticated, want, user, params, error }) {
  const { target } = want;
  const mend = (code, claims) => {
    return new Refused(code, [target.client_id], { ...(error ? { error } : {}), claims: JSON.stringify({ access_token: claims }) });
  };
  if (target.mfa && user.mfa) {
    throw mend(user.mfa === "enroll" ? 50079 : 50076, { capolids: { essential: true, values: [randomUUID()] } });
  }
  const consented = granted(app, target).scopes ?? [];
  const scopes = want.permissions ?? consented;
  if (!scopes.length || scopes.some((one) => !consented.includes(one))) throw new Refused(65001, [app.client_id, app.name]);
  const lacking = want.contexts.find(({ value, essential }) => essential && !user.acrs.includes(value));
  if (lacking) throw mend(50076, { acrs: { essential: true, value: lacking.value } });
  const acrs = want.contexts.map(({ value }) => value).filter((value) => user.acrs.includes(value));
  const roles = user.roles[target.client_id] ?? [];
  const claims = {
    ...(acrs.length ? { acrs } : {}),
    azp: app.client_id,
    azpacr: authenticated,
    ...(target.groups ? groupClaims(tenant, user) : {}),
    ...(target.optional_claims.includes("idtyp") ? { idtyp: "user" } : {}),
    name: user.name,
    oid: user.object_id,
    preferred_username: user.username,
    ...(roles.length ? { roles } : {}),
    scp: scopes.join(" "),
    sub: pairwise(user, target),
  };
  const response = tokenResponse(tenant, want, claims);
  const scope = [...scopes.map((one) => `${want.resource}/${one}`), ...want.openid.filter((one) => one !== "offline_access")].join(" ");
  return { ...response, scope, ...openidParts({ tenant, app, user, want, params }) };
}

function openidParts({ tenant, app, user, want, params }) {
  const has = (scope) => want.openid.includes(scope);
  const parts = {};
  if (has("offline_access")) {
    parts.refresh_token = `1.${opaque(120)}`;
    refreshTokens.set(parts.refresh_token, { tenant, app, user });
  }
  if (has("openid")) {
    const profile = has("profile") ? { name: user.name, oid: user.object_id, preferred_username: user.username } : {};
    const claims = { aud: app.client_id, ...common(tenant, options.lifetime_seconds), ...profile, sub: pairwise(user, app) };
    parts.id_token = signed(tenant, claims);
  }
  if (params.client_info === "1") {
    parts.client_info = base64url(JSON.stringify({ uid: user.object_id, utid: tenant.tid }));
  }
  return parts;
}

function tokenResponse(tenant, { target, capabilities }, claims) {
  const cae = capabilities.length > 0 && target.optional_claims.includes("xms_cc");
  const lifetime = cae && capabilities.some((one) => one.toLowerCase() === "cp1") ? options.lifetime_seconds_cae : options.lifetime_seconds;
  const all = { aud: target.client_id, ...common(tenant, lifetime), ...claims, ...(cae ? { xms_cc: capabilities } : {}) };
  return { token_type: "Bearer", expires_in: lifetime - 1, ext_expires_in: lifetime - 1, access_token: signed(tenant, all) };
}

/** Claims of every token; `aio`, `rh` and `uti` are Entra's own and mean nothing to others. */
function common(tenant, lifetime) {
  const begins = now() - BACKDATED_SECONDS;
  return {
    iss: issuerOf(tenant.tid),
    iat: begins,
    nbf: begins,
    exp: now() + lifetime,
    aio: randomBytes(48).toString("base64"),
    rh: `1.${opaque(60)}.`,
    tid: tenant.tid,
    uti: opaque(16),
    ver: "2.0",
  };
}

/** The address is the one that Entra writes, of an interface that is gone: it is not to be followed. */
function groupClaims(tenant, user) {
  if (user.overage === "hasgroups") return { hasgroups: true };
  if (user.overage !== "names" && user.groups.length <= GROUPS_MAX) return user.groups.length ? { groups: user.groups } : {};
  const endpoint = `https://graph.windows.net/${tenant.tid}/users/${user.object_id}/getMemberObjects`;
  return { _claim_names: { groups: "src1" }, _claim_sources: { src1: { endpoint } } };
}

function granted(app, target) {
  return app.granted.find(({ resource }) => resource === target.client_id) ?? {};
}

/** One user, another `sub` for each application. */
function pairwise(user, app) {
  return createHash("sha256").update(`${user.object_id} ${app.client_id}`).digest("base64url");
}

function mint({ tid, claims, header = {} }) {
  return { token: signed(tenantNamed(tid), claims, header) };
}

/** Signs with the tenant's first key, whatever the header says. */
function signed({ keys: [{ jwk, privateKey }] }, claims, changes = {}) {
  const header = Object.entries({ typ: "JWT", alg: "RS256", kid: jwk.kid, x5t: jwk.x5t, ...changes }).filter(([, value]) => value !== null);
  const text = [Object.fromEntries(header), claims].map((part) => base64url(JSON.stringify(part))).join(".");
  return `${text}.${signText("sha256", Buffer.from(text), privateKey).toString("base64url")}`;
}

/** A JWT taken apart; nothing if it is none. */
function taken(text) {
  try {
    const [header, claims, signature] = text.split(".");
    const read = (part) => JSON.parse(Buffer.from(part, "base64url").toString());
    return { header: read(header), claims: read(claims), text: `${header}.${claims}`, signature: Buffer.from(signature, "base64url") };
  } catch {
    return null;
  }
}

function verified({ header, text, signature }, key) {
  const paddings = { RS256: constants.RSA_PKCS1_PADDING, PS256: constants.RSA_PKCS1_PSS_PADDING };
  if (!Object.hasOwn(paddings, header.alg)) return false;
  return createVerify("sha256").update(text).verify({ key, padding: paddings[header.alg] }, signature);
}

function refusal({ code, words, more }, correlation = randomUUID()) {
  const [, error, text, suberror] = ERRORS[code];
  const trace = randomUUID();
  const timestamp = `${new Date().toISOString().slice(0, 19).replace("T", " ")}Z`;
  return {
    error,
    error_description: `AADSTS${code}: ${text(...words)} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${timestamp}`,
    error_codes: [Number(code)],
    timestamp,
    trace_id: trace,
    correlation_id: correlation,
    error_uri: `${origin}/error?code=${code}`,
    ...(suberror ? { suberror } : {}),
    ...more,
  };
}

/** A key with its certificate, whose thumbprint is the key's name. */
function freshKey() {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const certificate = selfSigned(privateKey, publicKey);
  const thumbprint = createHash("sha1").update(certificate).digest("base64url");
  const { n, e } = publicKey.export({ format: "jwk" });
  return { privateKey, publicKey, jwk: { kid: thumbprint, x5t: thumbprint, n, e, x5c: [certificate.toString("base64")] } };
}

/** The smallest certificate of X.509 (RFC 5280 section 4.1), in DER. */
function selfSigned(privateKey, publicKey) {
  const der = (tag, ...parts) => {
    const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
    const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255];
    return Buffer.concat([Buffer.from([tag, ...length]), body]);
  };
  const sequence = (...parts) => der(0x30, ...parts);
  const time = (years) => {
    const moment = new Date(Date.now() + years * 31_536_000_000).toISOString();
    return der(0x17, `${moment.slice(2, 19).replace(/[-:T]/g, "")}Z`);
  };
  const algorithm = sequence(der(0x06, Buffer.from("2a864886f70d01010b", "hex")), der(0x05));
  const name = sequence(der(0x31, sequence(der(0x06, Buffer.from("550403", "hex")), der(0x0c, "accounts.accesscontrol.windows.net"))));
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(15)]);
  const spki = publicKey.export({ format: "der", type: "spki" });
  const body = sequence(der(0xa0, der(0x02, [2])), der(0x02, serial), algorithm, name, sequence(time(-1), time(4)), name, spki);
  return sequence(body, algorithm, der(0x03, [0], signText("sha256", body, privateKey)));
}

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function send(response, status, body) {
  const cache = status === 200 && !body.access_token ? "max-age=86400, private" : "no-store, no-cache";
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", "cache-control": cache });
  response.end(JSON.stringify(body));
}

/** Options over their defaults; one that nobody knows is an error in the test. */
function filled(defaults, given) {
  const unknown = Object.keys(given).filter((name) => !(name in defaults));
  if (unknown.length) throw new Error(`unknown options: ${unknown}`);
  return { ...defaults, ...given };
}

function same(one, other) {
  const digest = (text) => createHash("sha256").update(String(text)).digest();
  return timingSafeEqual(digest(one), digest(other));
}

function opaque(bytes) {
  return randomBytes(bytes).toString("base64url");
}

function base64url(text) {
  return Buffer.from(text).toString("base64url");
}

function now() {
  return Math.floor(Date.now() / 1000);
}
