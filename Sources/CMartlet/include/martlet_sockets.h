/* What worker processes need from the system and Swift cannot call: variadic and macro-only parts of POSIX and Linux. Not part of
 * the C interface. */
#ifndef MARTLET_SOCKETS_H
#define MARTLET_SOCKETS_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

/* Shared memory of `size` zero bytes that has no name anywhere: it is gone with its last descriptor and mapping. It cannot be
 * made smaller, so that reading a mapping of it never fails. The descriptor, or -1 with errno set. */
static inline int martlet_memory_create(size_t size) {
#if defined(__linux__)
  int descriptor = (int)syscall(SYS_memfd_create, "martlet", 3u /* MFD_CLOEXEC | MFD_ALLOW_SEALING */);
#else
  static unsigned count = 0;
  char name[32];
  snprintf(name, sizeof name, "/mt%x.%x", (unsigned)getpid(), __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
  int descriptor = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (descriptor >= 0) shm_unlink(name);
  if (descriptor >= 0) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
#endif
  if (descriptor < 0) return -1;
  if (ftruncate(descriptor, (off_t)size) != 0) {
    int failure = errno;
    close(descriptor);
    errno = failure;
    return -1;
  }
#if defined(__linux__)
  /* F_ADD_SEALS: F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW. Where it is not known nothing is lost: both ends are ours. */
  (void)fcntl(descriptor, 1033, 1 | 2 | 4);
#endif
  return descriptor;
}

/* Makes `socket` not wait, close on exec and raise no SIGPIPE. 0, or -1 with errno set. */
static inline int martlet_socket_prepare(int socket) {
  int flags = fcntl(socket, F_GETFL, 0);
  if (flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0) return -1;
  flags = fcntl(socket, F_GETFD, 0);
  if (flags < 0 || fcntl(socket, F_SETFD, flags | FD_CLOEXEC) < 0) return -1;
#ifdef SO_NOSIGPIPE
  int on = 1;
  (void)setsockopt(socket, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
  return 0;
}

/* Sends up to `size` bytes, `descriptor` (or -1 for none) with the first of them. How many went, or -1 with errno set. */
static inline ssize_t martlet_socket_send(int socket, const void *bytes, size_t size, int descriptor) {
  struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
#ifdef MSG_NOSIGNAL
  const int flags = MSG_NOSIGNAL;
#else
  const int flags = 0;
#endif
  return sendmsg(socket, &message, flags);
}

/* What poll(2) is asked for to hear of the other end's going; its going altogether is always told. */
#ifdef __linux__
#define MARTLET_POLL_HANG_UP 0x2000 /* POLLRDHUP */
#else
#define MARTLET_POLL_HANG_UP 0
#endif

#define MARTLET_SOCKET_DESCRIPTORS 16

/* Receives up to `size` bytes, and up to MARTLET_SOCKET_DESCRIPTORS descriptors into `descriptors`, `*count` of them. How many bytes
 * came, 0 at the end, or -1 with errno set. */
static inline ssize_t martlet_socket_receive(int socket, void *bytes, size_t size, int *descriptors, int *count) {
  struct iovec part = {.iov_base = bytes, .iov_len = size};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(MARTLET_SOCKET_DESCRIPTORS * sizeof(int))];
  } control;
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
#ifdef MSG_CMSG_CLOEXEC
  const int flags = MSG_CMSG_CLOEXEC;
#else
  const int flags = 0;
#endif
  *count = 0;
  ssize_t received = recvmsg(socket, &message, flags);
  if (received < 0) return received;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      if (*count < MARTLET_SOCKET_DESCRIPTORS) {
        descriptors[(*count)++] = descriptor;
#ifndef MSG_CMSG_CLOEXEC
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
#endif
      } else {
        close(descriptor);
      }
    }
  }
  if (message.msg_flags & MSG_CTRUNC) {
    for (int i = 0; i < *count; i++) close(descriptors[i]);
    *count = 0;
    errno = EMFILE;
    return -1;
  }
  return received;
}

#endif
