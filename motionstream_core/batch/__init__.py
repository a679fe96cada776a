"""Many renders from one table: manifests, what they say of a workflow, and the client that sends them to ComfyUI."""
