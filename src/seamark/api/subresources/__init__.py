"""One subresource of the API per file; each is ``async def NAME(core, call) -> Response``."""
