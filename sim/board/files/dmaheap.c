/* /dev/dma_heap for a kernel without one, as a preloaded library: what libcamera and picamera2 take for a DMA buffer is
   a memfd. Opening a heap opens /dev/null; asking it for a buffer makes the memfd; telling a buffer's caches to sync, or
   its name, does nothing, as ordinary memory needs neither. Everything else goes to the kernel. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static const char HEAPS[] = "/dev/dma_heap/";

static int open_with(const char *function, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, function);
    return real(strncmp(path, HEAPS, sizeof HEAPS - 1) ? path : "/dev/null", flags, mode);
}

static mode_t mode_of(va_list arguments)
{
    return (mode_t)va_arg(arguments, int);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(arguments);
    va_end(arguments);
    return open_with("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(arguments);
    va_end(arguments);
    return open_with("open64", path, flags, mode);
}

static int allocate(struct dma_heap_allocation_data *wanted)
{
    int fd = memfd_create("dma-buffer", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)wanted->len) < 0) {
        close(fd);
        return -1;
    }
    wanted->fd = (unsigned)fd;
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int answer = real(fd, request, argument);
    if (answer >= 0 || errno != ENOTTY)
        return answer;
    switch ((unsigned)request) {
    case (unsigned)DMA_HEAP_IOCTL_ALLOC:
        return allocate(argument);
    case (unsigned)DMA_BUF_IOCTL_SYNC:
    case (unsigned)DMA_BUF_SET_NAME_A:
    case (unsigned)DMA_BUF_SET_NAME_B:
        return 0;
    default:
        errno = ENOTTY;
        return -1;
    }
}
