"""Requests that are answered later, into an object store.

    OUTPUT/_requests/ID.json        Asked: the caller got his 202 because it is there
    OUTPUT/_requests/ID.body        the payload, where the request brought one
    OUTPUT/_requests/ID.claim-N     Claim: who works on it, the newest N counts
    OUTPUT/_requests/done/ID.json   Asked, once it is over: the same InferenceId is the same request
    OUTPUT/[EXTENSION/]ID.out       the answer
    FAILURE/ID-error.out            Failure: why there is none

Request, claim, answer and failure are made by exclusive create, so each is what its first writer wrote. A
claim is rewritten by its owner while he works; one that nobody rewrites is followed by the next number.
"""
