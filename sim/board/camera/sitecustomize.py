"""Lets picamera2 0.3.38 run on libcamera's virtual pipeline: loaded by Python where this directory is in PYTHONPATH.

The pipeline has no raw stream, which picamera2 asks for to know the sensor's modes; and its buffers come from libcamera
itself: those of picamera2's own allocator end the process. Nothing else of picamera2 is touched.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

MODES = [{"format": "NV12", "size": (1920, 1080)}]  # as in sim/board/files/virtual.yaml


class _AtImport:
    """Wraps the loader of one module, so that it is adapted once it has run."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec: Any = PathFinder.find_spec(name, path, target) if name == "picamera2.picamera2" else None
        if spec is None:
            return None
        run = spec.loader.exec_module

        def run_and_adapt(module: Any) -> None:
            run(module)
            _adapt(module)

        spec.loader.exec_module = run_and_adapt
        found: ModuleSpec = spec
        return found


def _adapt(module: Any) -> None:
    from picamera2.allocators import LibcameraAllocator

    camera = module.Picamera2
    begin = camera.__init__

    def begin_with_its_buffers(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.allocator = LibcameraAllocator(self.camera)

    camera.__init__ = begin_with_its_buffers
    camera._get_raw_modes = lambda _self: MODES


sys.meta_path.insert(0, _AtImport())
