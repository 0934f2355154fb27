"""A client of the stand-in for Entra in `entra.mjs`, made of MSAL, Microsoft's own library. It judges that stand-in.

The plan is one JSON object on standard input:

    {"authority": "https://127.0.0.1:PORT/TENANT", "ca": FILE, "client_id": …, "secret": …,
     "certificate": {"private_key": PEM, "public_certificate": PEM}, "capabilities": ["CP1"], "steps": [step, …]}

`secret` or `certificate` makes it a confidential client, none of them a public one. Each step is one of

    {"do": "client", "scopes": […], "claims": JSON}                          client credentials
    {"do": "password", "username": …, "password": …, "scopes": […], "claims": JSON}
    {"do": "obo", "assertion": TOKEN or number of a step before, "scopes": […], "claims": JSON}
    {"do": "silent", "scopes": […], "claims": JSON}                          from the cache, or with a refresh token of a step before

where `claims` is what a challenge asked for, as text. One line comes out, {"done": […]}: for each step what MSAL returned, or
{"raised"} with what it raised. A step with "data": {…} sends these parameters, too.

What is kept strictly: MSAL is used as it is. It reads the tenant's metadata, over TLS with `ca` and nothing else as what is
trusted, and decides by itself what a success, an error and a claims challenge is. Two things are particular to a stand-in: it is told
not to ask Microsoft whether the authority is one of theirs, and since it forgets the authority's port when it looks up
what kind of account a user has, that one request is led to where the authority is.
"""

import json
import sys
from urllib.parse import urlsplit

import msal
import requests


class Loopback(requests.Session):
    """A session that finds the authority also where MSAL forgot its port."""

    def __init__(self, authority, ca):
        super().__init__()
        self.verify = ca
        # No proxy and no certificate store that the environment names.
        self.trust_env = False
        self.origin = "https://{0.netloc}".format(urlsplit(authority))
        self.forgetful = "https://{0.hostname}/common/userrealm/".format(urlsplit(authority))

    def request(self, method, url, **more):
        if url.startswith(self.forgetful):
            url = f"{self.origin}/common/userrealm/{url[len(self.forgetful):]}"
        return super().request(method, url, **more)


def application(plan):
    """The application that the plan describes."""
    options = {
        "authority": plan["authority"],
        "instance_discovery": False,
        "client_capabilities": plan.get("capabilities"),
        "http_client": Loopback(plan["authority"], plan["ca"]),
    }
    credential = plan.get("secret") or plan.get("certificate")
    if credential:
        return msal.ConfidentialClientApplication(plan["client_id"], client_credential=credential, **options)
    return msal.PublicClientApplication(plan["client_id"], **options)


class Steps:
    """One step of a plan each; what MSAL returns is reported."""

    def __init__(self, app):
        self.app = app
        self.done = []

    def client(self, scopes, **more):
        return self.app.acquire_token_for_client(scopes, **more)

    def password(self, scopes, username, password, **more):
        return self.app.acquire_token_by_username_password(username, password, scopes, **more)

    def obo(self, scopes, assertion, **more):
        if isinstance(assertion, int):
            assertion = self.done[assertion]["access_token"]
        return self.app.acquire_token_on_behalf_of(assertion, scopes, **more)

    def silent(self, scopes, **more):
        more.pop("data", None)
        return self.app.acquire_token_silent_with_error(scopes, self.app.get_accounts()[0], force_refresh=True, **more)

    def take(self, step):
        """What came of one step, or why nothing did."""
        step = dict(step)
        do, claims = step.pop("do"), step.pop("claims", None)
        try:
            return getattr(self, do)(claims_challenge=claims, data=step.pop("data", {}), **step)
        except Exception as error:
            return {"raised": repr(error)}


def main():
    """Reads the plan, takes its steps, prints."""
    plan = json.load(sys.stdin)
    try:
        steps = Steps(application(plan))
    except Exception as error:
        return {"failed": repr(error)}
    for step in plan["steps"]:
        steps.done.append(steps.take(step))
    return {"done": steps.done}


print(json.dumps(main()))
