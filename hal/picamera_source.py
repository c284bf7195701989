"""A camera of the board, by picamera2 (libcamera). Imported in the camera's child process only, if it is wanted at all.

The camera streams from its opening on, in one still mode, so that a shot is the next frame and never a change of mode.
A source that has failed is of no more use: its process ends, and the next one begins anew (hal.child_camera).
"""

from __future__ import annotations

import glob
import os
import time
from contextlib import suppress
from typing import IO, Any

from hal.camera_line import Request, occasion_of
from hal.errors import CameraError
from hal.exif import Details, with_exif
from hal.probes.holders import holders

FORMATS = ("YUV420", "NV12")  # asked for, and also taken; 1.5 bytes a pixel, from which a JPEG is made as they are
BUFFERS = 2  # one that is filled while the other one is read; each is 18 MB of CMA for 12 megapixels
SETTLE_MAX_S = 1.5  # for exposure to be found after a start; guess: 15 frames and more
FRAME_US = (
    50_000,
    1_000_000,
)  # a frame each 50 ms costs little, and a shot waits no longer for one; at night up to 1 s
STALE_MAX = 4  # frames from before a shot that are passed over; two are under way at most
AF_CONTINUOUS = 2  # AfModeEnum.Continuous of libcamera
AE_CONVERGED = 2  # AeStateEnum.Converged of libcamera
ISO_OF_GAIN_1 = 100  # as picamera2 and rpicam-apps count
MEDIA_DEVICES = "/dev/media*"  # libcamera locks those of the camera that it uses
_BOARD = "/proc/device-tree/model"
_PI = "Raspberry Pi"
# What picamera2 and libcamera raise: of a camera that is gone, busy or wrong, and of memory that is not enough.
_FAILURES = (RuntimeError, OSError, ValueError, LookupError, MemoryError)


class PicameraSource:
    """Implements hal.camera_child.Source. size (pixels) is asked for; `note` tells if the camera has another one."""

    def __init__(self, size: tuple[int, int], quality: int) -> None:
        self.note = ""
        self._size, self._quality = size, quality
        self._camera: Any = None
        self._form: dict[str, Any] = {}  # of the pictures, as the camera gives them: format, size, stride

    def choose(self, request: Request) -> str:
        """Nothing to choose; the camera is opened where it is not."""
        del request
        if self._camera is None:
            self._open()
        return ""

    def take(self, name: str, request: Request, into: IO[bytes]) -> int:
        """The next frame as a JPEG, with an Exif block; where the field of its id is."""
        del name
        try:
            picture = self._capture()
            try:
                metadata = picture.get_metadata()
                jpeg = self._jpeg(picture)
            finally:
                picture.release()
        except _FAILURES as error:
            raise self._fault(error) from error
        made, id_at = with_exif(jpeg, self._details(metadata), occasion_of(request))
        into.write(made)
        return id_at

    def _capture(self) -> Any:
        """The next frame. picamera2 keeps one from before, often from just after the last shot, and gives it first."""
        asked_ns = time.monotonic_ns()
        for _ in range(STALE_MAX):
            picture = self._camera.capture_request()
            if picture.get_metadata().get("SensorTimestamp", asked_ns) >= asked_ns:
                return picture
            picture.release()
        return self._camera.capture_request()

    def close(self) -> None:
        """Stop the camera and give it back."""
        if self._camera is not None:
            with suppress(*_FAILURES):  # whatever it says, nobody can do more
                self._camera.close()
            self._camera = None

    def _open(self) -> None:
        # Before anything is imported: libcamera says much, numpy makes a thread and 30 MB of memory for each core.
        os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise CameraError(
                f"picamera2 cannot be imported: {error}",
                did="no picture was taken",
                can="install python3-picamera2 with apt, and dandelion in a virtual environment made with "
                "--system-site-packages; or set another camera.driver",
            ) from error
        if not Picamera2.global_camera_info():
            raise CameraError(
                "no camera is found",
                did="no picture was taken",
                can="switch the board off, check both ends of the camera's ribbon cable, and see what "
                "`rpicam-hello --list-cameras` says",
            )
        try:
            self._camera = Picamera2()
            self._configure()
            self._camera.start()
            self._settle()
        except _FAILURES as error:
            raise self._fault(error) from error

    def _configure(self) -> None:
        """The one mode that it has from now on; what came of what was asked for is read back."""
        camera = self._camera
        main = {"size": self._size, "format": FORMATS[0]}
        camera.configure(
            camera.create_still_configuration(main, raw=None, buffer_count=BUFFERS, display=None, encode=None)
        )
        self._form = camera.camera_configuration()["main"]
        if self._form["format"] not in FORMATS:
            raise ValueError(f"its pictures are {self._form['format']}, and {' or '.join(FORMATS)} is needed")
        if self._form["size"] != self._size:
            (width, height), (wanted, high) = self._form["size"], self._size
            given = f"the camera gives pictures of {width} x {height} pixels"
            self.note = f"{given}; camera.size asks for {wanted} x {high}"
        camera.set_controls(_controls(camera.camera_controls))

    def _settle(self) -> None:
        """Until exposure is found, where the camera tells: the first frames are dark, or too bright."""
        until = time.monotonic() + SETTLE_MAX_S
        while time.monotonic() < until:
            metadata = self._camera.capture_metadata()
            state, locked = metadata.get("AeState"), metadata.get("AeLocked")
            if locked or state == AE_CONVERGED or (locked is None and state is None):
                return

    def _jpeg(self, picture: Any) -> bytes:
        """Encoded from the planes in the camera's own buffer."""
        import simplejpeg
        from picamera2 import MappedArray

        with MappedArray(picture, "main", reshape=False) as mapped:
            jpeg: bytes = simplejpeg.encode_jpeg_yuv_planes(*_planes(mapped.array, self._form), self._quality)
            return jpeg

    def _details(self, metadata: dict[str, Any]) -> Details:
        width, height = self._form["size"]
        exposure_us, gain = metadata.get("ExposureTime"), metadata.get("AnalogueGain")
        return Details(
            make=_make(),
            model=str(self._camera.camera_properties.get("Model", "camera")),
            width=width,
            height=height,
            exposure_s=None if exposure_us is None else exposure_us / 1e6,
            iso=None if gain is None else gain * metadata.get("DigitalGain", 1.0) * ISO_OF_GAIN_1,
            focus=metadata.get("LensPosition"),
        )

    def _fault(self, error: BaseException) -> CameraError:
        self.close()
        if others := holders(sorted(glob.glob(MEDIA_DEVICES))):
            return CameraError(
                f"the camera is in use by another process: {others[0]}",
                did="no picture was taken; the next shot tries again",
                can="end that process: one at a time can use the camera",
            )
        return CameraError(
            f"the camera failed: {_root(error)}",
            did="no picture was taken; the next shot begins with the camera anew",
            can="if this goes on: check its cable; where it speaks of memory, choose a smaller camera.size or more CMA",
        )


def _controls(offered: dict[str, Any]) -> dict[str, Any]:
    """What is set, of what this camera offers, within its bounds."""
    chosen: dict[str, Any] = {}
    if "FrameDurationLimits" in offered:
        least, most, _ = offered["FrameDurationLimits"]
        chosen["FrameDurationLimits"] = tuple(min(max(wanted, least), most) for wanted in FRAME_US)
    if "AfMode" in offered and offered["AfMode"][1] >= AF_CONTINUOUS:
        chosen["AfMode"] = AF_CONTINUOUS
    return chosen


def _planes(flat: Any, form: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Y, U and V as arrays of rows, of a buffer with rows of `stride` bytes."""
    (width, height), stride = form["size"], form["stride"]
    luma = flat[: stride * height].reshape(height, stride)[:, :width]
    chroma, rows, across = flat[stride * height :], height // 2, width // 2
    if form["format"] == "NV12":
        pairs = chroma[: stride * rows].reshape(rows, stride)[:, : 2 * across]
        return luma, pairs[:, 0::2].copy(), pairs[:, 1::2].copy()
    half = stride // 2
    u, v = (chroma[half * rows * n : half * rows * (n + 1)].reshape(rows, half)[:, :across] for n in (0, 1))
    return luma, u, v


def _make() -> str:
    """Who made the camera, as far as can be told: the board's, or nobody in particular."""
    try:
        with open(_BOARD, encoding="utf-8", errors="replace") as file:
            return _PI if file.read(len(_PI)) == _PI else "libcamera"
    except OSError:
        return "libcamera"


def _root(error: BaseException) -> str:
    """What began it: picamera2 says little itself, and keeps the cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
