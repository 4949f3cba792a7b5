"""One verb of the API per file; each is ``async def VERB(core, call) -> Response``."""
