"""MotionStream for ComfyUI: ComfyUI loads this file and asks `comfy_entrypoint` for the nodes."""

WEB_DIRECTORY = "js"


async def comfy_entrypoint() -> object:
    """The pack's ComfyExtension. The nodes are imported here, so that tools without ComfyUI may import this package."""
    from .nodes import MotionStreamExtension

    return MotionStreamExtension()
