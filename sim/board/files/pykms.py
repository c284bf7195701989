"""In the place of a module that Raspberry Pi OS has and Debian has not: picamera2 imports it for previews on a screen.

There is no screen here; whoever wants one gets an AttributeError.
"""


class PixelFormat:
    """Named by picamera2 where it is imported."""

    RGB888 = XRGB8888 = BGR888 = XBGR8888 = YUV420 = YVU420 = NV12 = MJPEG = YUYV = None
